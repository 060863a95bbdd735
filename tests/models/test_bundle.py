import hashlib
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from support import change_manifest, replace_file

from digitflow.errors import BundleError, OutputError
from digitflow.evaluation.metrics import ACCEPT_NOTHING
from digitflow.models.bundle import (
    GOLDEN,
    KERAS,
    MANIFEST,
    WEIGHTS,
    load_bundle,
    open_bundle,
    write_bundle,
)
from digitflow.models.predictor import Predictor


def test_a_whole_bundle_says_what_it_is(bundle_folder: Path):
    bundle = load_bundle(bundle_folder)

    assert (bundle.name, bundle.version) == ("small", "1")
    assert bundle.class_names == tuple("0123456789")
    manifest = (bundle_folder / MANIFEST).read_bytes()
    assert bundle.model_id == hashlib.sha256(manifest).hexdigest()
    images, probabilities = bundle.golden()
    assert images.shape == (10, 28, 28)
    assert probabilities.shape == (10, 10)


@pytest.mark.parametrize("file", [WEIGHTS, KERAS, GOLDEN, "model.tflite", "model_int8.tflite"])
def test_one_flipped_byte_in_any_file_is_refused_by_name(bundle_folder: Path, file: str):
    content = bytearray((bundle_folder / file).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle_folder / file).write_bytes(content)

    with pytest.raises(BundleError, match=rf"{file}.*SHA-256"):
        load_bundle(bundle_folder)


def test_of_a_bundle_that_is_opened_only_what_is_read_must_be_there(bundle_folder: Path):
    for file in (WEIGHTS, KERAS):
        (bundle_folder / file).unlink()
    (bundle_folder / "model_int8.tflite").write_bytes(b"damaged")

    bundle = open_bundle(bundle_folder)

    assert bundle.model_id == hashlib.sha256((bundle_folder / MANIFEST).read_bytes()).hexdigest()
    assert Predictor(bundle).predict_proba(bundle.golden()[0]).shape == (10, 10)
    with pytest.raises(BundleError, match=r"model_int8\.tflite"):
        bundle.read("model_int8.tflite")
    with pytest.raises(BundleError, match=f"{WEIGHTS}: is missing"):
        bundle.read(WEIGHTS)


def test_a_missing_file_is_named(bundle_folder: Path):
    (bundle_folder / WEIGHTS).unlink()

    with pytest.raises(BundleError, match=f"{WEIGHTS}: is missing"):
        load_bundle(bundle_folder)


def test_a_folder_without_manifest_is_no_bundle(tmp_path: Path):
    with pytest.raises(BundleError, match=r"manifest\.json: is missing"):
        load_bundle(tmp_path)


def test_an_extra_file_is_refused(bundle_folder: Path):
    (bundle_folder / "estimator.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")

    with pytest.raises(BundleError, match=r"'estimator\.pkl', which the manifest does not list"):
        load_bundle(bundle_folder)


@pytest.mark.parametrize("replace", [os.symlink, os.link])
def test_a_link_out_of_the_bundle_is_not_followed(bundle_folder: Path, tmp_path: Path, replace):
    outside = tmp_path / "outside"
    outside.write_bytes(b"something else")
    (bundle_folder / WEIGHTS).unlink()
    replace(outside, bundle_folder / WEIGHTS)

    with pytest.raises(BundleError, match=WEIGHTS):
        load_bundle(bundle_folder)


def test_a_fifo_is_refused_at_once(bundle_folder: Path):
    (bundle_folder / WEIGHTS).unlink()
    os.mkfifo(bundle_folder / WEIGHTS)

    with pytest.raises(BundleError, match="not a regular file"):
        load_bundle(bundle_folder)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"format": 2}, "install a newer digitflow"),
        ({"format": "one"}, "no format number"),
        ({"format": 0}, "no format number"),
        ({"format": -1}, "no format number"),
        ({"format": True}, "no format number"),
        ({"format": 1.0}, "no format number"),
        ({"class_names": ["0"]}, "class_names"),
        ({"class_names": ["0"] * 10}, "distinct"),
        ({"class_names": [0, 1]}, "class name 0 is not a text"),
        ({"class_names": ["0", ""]}, "class name '' is not a text"),
        ({"class_names": ["0", "x" * 101]}, "class name 'x{79} is not a text of 1 to 100"),
        ({"class_names": ["0", "1\n"]}, "class name '1.n' has characters that cannot be seen"),
        ({"class_names": ["0", " 1"]}, "class name ' 1' has characters that cannot be seen"),
        ({"class_names": ["0", "\ud800"]}, "has characters that cannot be seen"),
        ({"class_names": [str(n) for n in range(1001)]}, "class_names is not a list of 2 to 1000"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": float("nan")}, "NaN is no number of JSON"),
        ({"anything": float("inf")}, "Infinity is no number of JSON"),
        ({"temperature": True}, "temperature"),
        ({"temperature": 10**400}, "temperature"),
        ({"thresholds": {}}, "uncertain_below"),
        ({"thresholds": {"uncertain_below": 1.5}}, "uncertain_below"),
        ({"thresholds": {"uncertain_below": 1.002}}, "uncertain_below"),
        ({"thresholds": {"uncertain_below": 0.5, "rejected_below": "0.4"}}, "rejected_below"),
        ({"thresholds": {"uncertain_below": 0.5, "rejected_below": -0.1}}, "rejected_below"),
        ({"thresholds": []}, "thresholds"),
        ({"name": ""}, "name '' is not"),
        ({"name": None}, "name None is not"),
        ({"name": "../escaped"}, r"name '\.\./escaped' is not"),
        ({"name": "x" * 100_000}, "name 'x{79} is not"),
        ({"version": "/tmp/1"}, "version '/tmp/1' is not"),
        ({"version": ".."}, r"version '\.\.' is not"),
        ({"version": "1\n"}, "version '1.n' is not"),
        ({"version": "current"}, "version 'current' is the name of a file"),
        ({"files": {}}, "files are not exactly"),
        ({"files": {"../x": {}}}, "files are not exactly"),
    ],
)
def test_a_manifest_that_cannot_be_right_is_refused(bundle_folder: Path, entries, message: str):
    change_manifest(bundle_folder, **entries)

    with pytest.raises(BundleError, match=message):
        load_bundle(bundle_folder)


@pytest.mark.parametrize("size", [True, 0, -1, 1.0, 1e3, "1", None, 1 << 40])
def test_a_size_that_is_no_number_of_bytes_is_refused(bundle_folder: Path, size: object):
    files = json.loads((bundle_folder / MANIFEST).read_text())["files"]
    files[WEIGHTS]["size"] = size
    change_manifest(bundle_folder, files=files)

    with pytest.raises(BundleError, match=rf"files\.{WEIGHTS} has no size"):
        load_bundle(bundle_folder)


def test_a_threshold_that_nothing_reaches_is_taken(bundle_folder: Path):
    change_manifest(bundle_folder, thresholds={"uncertain_below": ACCEPT_NOTHING})

    assert load_bundle(bundle_folder).uncertain_below == ACCEPT_NOTHING > 1


@pytest.mark.parametrize("sha256", [None, 1, "", "0" * 63, "0" * 65, "G" * 64, "A" * 64])
def test_what_is_no_digest_is_refused(bundle_folder: Path, sha256: object):
    files = json.loads((bundle_folder / MANIFEST).read_text())["files"]
    files[WEIGHTS]["sha256"] = sha256
    change_manifest(bundle_folder, files=files)

    with pytest.raises(BundleError, match=rf"files\.{WEIGHTS} has no SHA-256 of 64"):
        load_bundle(bundle_folder)


def test_an_entry_that_stands_twice_is_refused(bundle_folder: Path):
    text = (bundle_folder / MANIFEST).read_text()
    (bundle_folder / MANIFEST).write_text('{"temperature": 2.0,' + text.lstrip()[1:])

    with pytest.raises(BundleError, match="'temperature' stands in it twice"):
        load_bundle(bundle_folder)


@pytest.mark.parametrize("coding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_manifest_in_another_coding_is_refused(bundle_folder: Path, coding: str):
    text = (bundle_folder / MANIFEST).read_text()
    (bundle_folder / MANIFEST).write_bytes(text.encode(coding))

    with pytest.raises(BundleError, match="is not JSON"):
        load_bundle(bundle_folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_a_manifest_that_is_no_json_object_is_refused(bundle_folder: Path, content: bytes):
    (bundle_folder / MANIFEST).write_bytes(content)

    with pytest.raises(BundleError, match=MANIFEST):
        load_bundle(bundle_folder)


def test_a_huge_manifest_is_not_read(bundle_folder: Path):
    with (bundle_folder / MANIFEST).open("r+b") as stream:
        stream.truncate(10 << 30)  # sparse

    with pytest.raises(BundleError, match="larger than"):
        load_bundle(bundle_folder)


@pytest.mark.parametrize("file", [WEIGHTS, KERAS, GOLDEN, "model.tflite"])
def test_a_file_larger_than_its_manifest_says_is_not_read(bundle_folder: Path, file: str):
    with (bundle_folder / file).open("r+b") as stream:
        stream.truncate(10 << 30)  # sparse

    with pytest.raises(
        BundleError, match=rf"{file}: cannot be read \(larger than the [\d,]+ bytes"
    ):
        load_bundle(bundle_folder)


def test_a_file_smaller_than_its_manifest_says_is_refused(bundle_folder: Path):
    (bundle_folder / WEIGHTS).write_bytes(b"\0" * 100)

    with pytest.raises(BundleError, match="its size, 100 bytes, is not the manifest's"):
        load_bundle(bundle_folder)


@pytest.mark.parametrize("what", ["link", "content"])
def test_what_was_replaced_after_the_check_is_not_used(
    bundle_folder: Path, tmp_path: Path, what: str
):
    bundle = load_bundle(bundle_folder)
    file, other = bundle_folder / "model.tflite", tmp_path / "other.tflite"
    other.write_bytes(file.read_bytes()[:-1] + b"\1")
    if what == "link":
        file.unlink()
        file.symlink_to(other)
    else:
        other.replace(file)

    with pytest.raises(BundleError, match=r"model\.tflite: .*(a link|SHA-256)") as caught:
        Predictor(bundle)

    assert str(caught.value).count("model.tflite") == 1


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", os.fsdecode(b"\xff"), "Manifest.json", ".x"])
def test_an_odd_name_is_said_in_one_line(bundle_folder: Path, name: str):
    (bundle_folder / name).touch()

    with pytest.raises(BundleError, match="which the manifest does not list") as caught:
        load_bundle(bundle_folder)

    assert ascii(name) in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("/etc")])
def test_a_folder_in_place_of_a_file_is_refused(bundle_folder: Path, make):
    (bundle_folder / WEIGHTS).unlink()
    make(bundle_folder / WEIGHTS)

    with pytest.raises(BundleError, match=rf"{WEIGHTS}: cannot be read .*not a regular file"):
        load_bundle(bundle_folder)


def npz(images: np.ndarray, **probabilities: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, images=images, **probabilities)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a zip file", "not a zip file"),
        (npz(np.zeros((1, 28, 28), np.uint8)), "no item named 'dynamic.npy'"),
        (npz(np.zeros((65, 28, 28), np.uint8)), "1 to 64 rows"),
        (npz(np.zeros((3, 28, 28)), dynamic=np.zeros((3, 10), np.float32)), "images is float64"),
        (npz(np.zeros((3, 28, 28), np.uint8), dynamic=np.zeros((3, 9), np.float32)), "dynamic is"),
        (npz(np.zeros((3, 28, 28), np.uint8), dynamic=np.zeros((2, 10), np.float32)), "3 images"),
    ],
    ids=["no zip", "no probabilities", "too many", "wrong type", "wrong classes", "wrong rows"],
)
def test_golden_predictions_that_are_none_are_refused(
    bundle_folder: Path, content: bytes, message: str
):
    replace_file(bundle_folder, GOLDEN, content)
    bundle = load_bundle(bundle_folder)

    with pytest.raises(BundleError, match=message) as caught:
        bundle.golden()

    assert str(caught.value).startswith(f"{bundle_folder / GOLDEN}: cannot be read")


def test_golden_predictions_larger_than_they_can_be_are_not_read(bundle_folder: Path):
    replace_file(bundle_folder, GOLDEN, bytes((1 << 20) + 1))

    with pytest.raises(BundleError, match=r"files\.golden\.npz has no size up to 1 MiB"):
        load_bundle(bundle_folder)


def test_writing_refuses_an_existing_version_and_leaves_it(bundle_folder: Path):
    manifest = json.loads((bundle_folder / MANIFEST).read_text())
    before = (bundle_folder / MANIFEST).read_bytes()

    with pytest.raises(OutputError, match="exists already"):
        write_bundle(bundle_folder, bundle_folder, manifest)

    assert (bundle_folder / MANIFEST).read_bytes() == before
    assert [entry.name for entry in bundle_folder.parent.iterdir()] == ["1"]


def test_writing_a_manifest_that_would_not_load_leaves_nothing(bundle_folder: Path, tmp_path: Path):
    manifest = json.loads((bundle_folder / MANIFEST).read_text())
    destination = tmp_path / "other" / "1"

    with pytest.raises(BundleError, match="temperature"):
        write_bundle(bundle_folder, destination, manifest | {"temperature": -1})

    assert list(destination.parent.iterdir()) == []
