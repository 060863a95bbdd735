import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from digitflow import load_dataset
from digitflow.images.reading import decode_image

Script = Callable[..., None]
Module = Callable[[str], ModuleType]


@pytest.fixture(scope="module")
def digit() -> np.ndarray:
    """Return a 0 whose hole is closed."""
    data = load_dataset("digits")
    return data.images[data.labels == 0][1]


@pytest.fixture
def pictures(repository: Path, tmp_path: Path) -> Path:
    """Return a folder with two pictures of a 7, one of them wrongly labelled, and no image."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("right.png", "wrong.png"):
        shutil.copy(repository / "tests" / "images" / "seven.png", folder / name)
    (folder / "text.png").write_text("no image")
    rows = [("right.png", 7, "a"), ("wrong.png", 3, "a"), ("text.png", 7, "b")]
    with (folder / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "label", "source"), *rows])
    return folder


def refusal(run: Callable[[], None]) -> str:
    """Return the line with which a script ends."""
    with pytest.raises(SystemExit) as raised:
        run()
    message = str(raised.value)
    assert message.startswith("error: ")
    assert "\n" not in message
    return message


def test_each_kind_of_picture_is_an_image_made_by_its_seed_alone(module: Module, digit):
    kinds = module("robustness").KINDS

    assert len(module("robustness").CONDITIONS) == 29
    for name, kind in kinds.items():
        first, same, other = (kind(digit, np.random.default_rng(seed)) for seed in (5, 5, 6))
        assert first == same, name
        assert first != other or name == "unchanged", name
        pixels = decode_image(first).pixels
        # Something is to be seen, except where ink and paper are of one brightness.
        assert np.ptp(pixels.astype(int)) >= 20 or name == "same luminance", name


def test_an_unchanged_picture_is_the_array(module: Module, digit):
    content = module("transformations").unchanged(digit, np.random.default_rng(0))

    assert np.array_equal(decode_image(content).pixels, digit)


def test_exif_turns_the_picture_upright(module: Module, digit):
    turned_by_exif = module("transformations").turned_by_exif
    seen = set()
    for seed in range(40):
        read = decode_image(turned_by_exif(digit, np.random.default_rng(seed)))
        seen.add(read.orientation)
        small = Image.fromarray(255 - read.pixels).resize((28, 28))
        # Turned in any other way, it differs by 20 or more.
        assert np.abs(np.asarray(small, np.float64) - digit).mean() < 6, read.orientation
    assert seen == set(range(2, 9))


def test_a_hairline_is_as_wide_as_its_pen_and_keeps_the_form(module: Module, digit):
    painting = module("painting")
    strokes = painting.draw_strokes(digit, 8)

    line = painting.centre_line(np.pad(strokes, 1) >= 0.5)
    pen = painting.draw_hairline(strokes, 3)

    for mask in (line, pen >= 0.5):
        assert ndimage.label(mask, np.ones((3, 3)))[1] == 1
        assert ndimage.label(np.pad(~mask, 1, constant_values=True))[1] == 2  # the hole is kept
    assert line.sum() * 2 < pen.sum() < line.sum() * 4
    assert not (line & ~(np.pad(strokes, 1) >= 0.5)).any()


def test_widened_strokes_keep_their_hole(module: Module, digit):
    painting = module("painting")
    strokes = painting.draw_strokes(digit, 8)

    wide = painting.widen(strokes, 50)

    assert wide.sum() > 2 * strokes.sum()
    assert ndimage.label(np.pad(wide < 0.5, 1, constant_values=True))[1] == 2


def test_kinds_of_pictures_are_measured(script: Script, tmp_path: Path, capsys, module: Module):
    output, sheet = tmp_path / "robustness.json", tmp_path / "sheet.png"
    words = ["--dataset", "digits", "--digits", "3", "--only", "page", "unchanged"]

    script("robustness.py", *words, "--output", output, "--sheet", sheet)

    content = json.loads(output.read_text())
    (page,), (unchanged,) = content["conditions"], content["transformations"]
    assert (page["kind"], unchanged["kind"]) == ("page", "unchanged")
    assert page["accuracy"] == pytest.approx(1 - len(page["misread"]) / 3)
    assert unchanged["accuracy"] == content["accuracy_of_arrays"]
    assert page["milliseconds"] > 0
    assert content["data"] == "digits, test"
    assert content["command"] == (
        "python benchmarks/robustness.py --dataset digits --split test --digits 3 --seed 0 "
        "--only page unchanged"
    )
    tables = module("tables")
    table = tables.robustness_table(content)
    assert table in capsys.readouterr().out
    assert table in tables.accuracy_page(tables.read_results(tmp_path))
    with Image.open(sheet) as image:
        assert image.width > 1000
        assert len(set(image.convert("L").tobytes())) > 20


def test_unknown_kinds_and_too_many_digits_are_refused(script: Script):
    unknown = refusal(lambda: script("robustness.py", "--dataset", "digits", "--only", "fog"))
    many = refusal(lambda: script("robustness.py", "--dataset", "digits", "--digits", "9999"))

    assert "no kind 'fog'; known are: patch," in unknown
    assert "--digits: 9999, but there are 360" in many


def test_real_images_are_measured_by_source(
    script: Script, pictures: Path, tmp_path: Path, capsys, module: Module
):
    output, sheet = tmp_path / "real.json", tmp_path / "sheet.png"

    script("real_images.py", pictures, "--output", output, "--sheet", sheet)

    content = json.loads(output.read_text())
    resized, inverted, own = content["preparations"]
    assert own["preparation"] == "digitflow"
    assert own["sources"] == {"a": 0.5, "b": 0.0}
    assert own["pictures"] == {"a": 2, "b": 1}
    assert own["macro_average"] == 0.25
    assert own["accuracy"] == pytest.approx(1 / 3)
    wrong, text = own["misread"]
    assert (wrong["name"], wrong["label"], wrong["prediction"]) == ("wrong.png", "3", "7")
    assert (text["name"], text["prediction"], text["confidence"]) == ("text.png", None, 0)
    assert resized["sources"].keys() == inverted["sources"].keys() == {"a", "b"}
    assert content["command"] == "python benchmarks/real_images.py FOLDER"
    printed = capsys.readouterr().out
    assert "wrong.png: 3, read 7 (" in printed
    assert "text.png: 7, read nothing (0.0%)" in printed
    tables = module("tables")
    table = tables.real_images_table(content)
    assert table in printed
    assert table in tables.accuracy_page(tables.read_results(tmp_path))
    with Image.open(sheet) as image:
        assert len(set(image.convert("L").tobytes())) > 20


def test_sources_can_be_left_out(script: Script, pictures: Path, tmp_path: Path):
    output = tmp_path / "real.json"

    script("real_images.py", pictures, "--without", "b", "--output", output)

    content = json.loads(output.read_text())
    assert content["preparations"][-1]["sources"] == {"a": 0.5}
    assert content["command"].endswith("FOLDER --without b")


def test_folders_and_sources_that_are_not_there_are_refused(script: Script, pictures: Path):
    (empty := pictures / "empty").mkdir()
    missing = refusal(lambda: script("real_images.py", empty))
    unknown = refusal(lambda: script("real_images.py", pictures, "--sources", "z"))
    none = refusal(lambda: script("real_images.py", pictures, "--without", "a", "b"))
    (pictures / "right.png").unlink()
    gone = refusal(lambda: script("real_images.py", pictures))
    (pictures / "labels.csv").write_text("path,label\n")
    headless = refusal(lambda: script("real_images.py", pictures))

    assert f"{empty / 'labels.csv'}: cannot be read (No such file" in missing
    assert "no source 'z'; known are: a, b" in unknown
    assert "leaves no source" in none
    assert "names right.png, which is not there" in gone
    assert "needs rows with path, label and source" in headless


def test_forms_are_left_out_by_their_names(module: Module):
    left_out = module("left_out")
    all_names = {name for forms in left_out.FORMS.values() for name in forms}

    for source, words in left_out.SUGGESTED.items():
        forms = left_out.forms_without(words)
        assert set(forms) == set(range(10))
        assert all(forms.values()), source
        gone = all_names - {name for of_digit in forms.values() for name in of_digit}
        # Each word says something, and nothing else goes.
        assert all(any(word in name for name in gone) for word in words), source
        assert all(any(word in name for word in words) for name in gone), source


@pytest.mark.long
def test_a_source_is_read_with_and_without_its_forms(
    script: Script, pictures: Path, tmp_path: Path, capsys, module: Module
):
    output = tmp_path / "left_out.json"
    words = ["--network", "tiny", "--dataset", "digits", "--epochs", "1"]
    words += ["--drawn-digits", "20", "--outliers", "20"]

    script("left_out.py", pictures, "--sources", "a", *words, "--output", output)

    content = json.loads(output.read_text())
    (found,) = content["left_out"]
    assert (found["source"], found["pictures"]) == ("a", 2)
    assert (content["network"], content["epochs"]) == ("tiny", 1)
    # The same picture bears two labels: at most one of them is right.
    assert {found["with_all"], found["without"]} <= {0.0, 0.5}
    assert content["command"] == (
        "python benchmarks/left_out.py FOLDER --sources a --network tiny --dataset digits "
        "--epochs 1 --drawn-digits 20 --outliers 20"
    )
    tables = module("tables")
    table = tables.left_out_table(content)
    assert table in capsys.readouterr().out
    assert table in tables.accuracy_page(tables.read_results(tmp_path))
