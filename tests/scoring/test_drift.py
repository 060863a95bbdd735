"""A scored table against its model's own data, and against earlier tables."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from scoring.scored_tables import many_rows, read_row, write_table
from support import change_manifest

from digitflow import settings
from digitflow.errors import BundleError, UsageError
from digitflow.models.bundle import load_bundle
from digitflow.scoring.drift import check_reference, measure_drift, profile_table
from digitflow.scoring.scored import open_table
from digitflow.scoring.table import METADATA_KEY, Row

BLANK = Row(b"blank.png", status="blank", reason="no_ink", image_width=28, image_height=28)
FAILED = Row(b"broken.png", status="error", reason="truncated", message="cut off")


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    return write_table(tmp_path / "earlier.parquet", many_rows(1000))


def verdicts(drift) -> dict[str, str]:
    return {column.column: column.verdict for column in drift.columns}


def test_more_of_the_same_is_stable(tmp_path: Path, earlier: Path) -> None:
    drift = measure_drift(write_table(tmp_path / "t.parquet", many_rows(900, seed=1)), [earlier])
    assert drift.verdict == "stable"
    assert drift.notes == []
    assert {*verdicts(drift).values()} == {"stable"}
    assert drift.in_words().startswith(f"stable: {tmp_path / 't.parquet'} (900 rows) against ")


@pytest.mark.parametrize(
    ("rows", "column"),
    [
        (many_rows(700) + [FAILED] * 300, "status"),
        (many_rows(700) + [BLANK] * 300, "status"),
        ([read_row(b"a", 3, row.confidence or 0) for row in many_rows(1000)], "label"),
        ([read_row(b"a", row.digit or 0, 0.6) for row in many_rows(1000)], "confidence"),
        (many_rows(1000, polarity="light_on_dark"), "polarity"),
        (many_rows(1000, width=30), "width"),
        (many_rows(1000, height=50), "height"),
        (many_rows(1000, width=30), "shape"),
        (many_rows(1000, ink=0.18), "ink"),
        (many_rows(1000, image_width=600), "image_width"),
        (many_rows(1000, image_height=600), "image_height"),
    ],
)
def test_what_changes_is_noticed(tmp_path: Path, earlier: Path, rows: list[Row], column: str):
    drift = measure_drift(write_table(tmp_path / "t.parquet", rows), [earlier])
    assert drift.verdict == "drifted"
    assert verdicts(drift)[column] == "drifted"


def test_an_image_counts_once_however_many_digits_it_has(tmp_path: Path) -> None:
    rows = [read_row(b"page.png", segment=segment) for segment in range(9)] + [BLANK, FAILED]
    profile = profile_table(open_table(write_table(tmp_path / "t.parquet", rows))).profile
    assert sum(profile["image_width"].values()) == 2
    assert sum(profile["width"].values()) == 9
    assert profile["status"] == {"ok": 9, "blank": 1, "error": 1}


def test_nothing_that_was_read_is_no_obstacle(tmp_path: Path, earlier: Path) -> None:
    drift = measure_drift(write_table(tmp_path / "t.parquet", [FAILED] * 50), [earlier])
    assert verdicts(drift) == {"status": "drifted"}


def test_tables_add_up_and_folders_are_read_whole(tmp_path: Path, earlier: Path, monkeypatch):
    monkeypatch.setattr("digitflow.scoring.table.ROW_GROUP_ROWS", 128)
    folder = tmp_path / "parts"
    (folder / "day=1").mkdir(parents=True)
    (folder / "_ignored").mkdir()
    for name in ("a.parquet", "day=1/b.parquet", ".c.parquet", "_d.parquet", "_ignored/e.parquet"):
        shutil.copy(earlier, folder / name)
    (folder / "README").write_text("no table")
    drift = measure_drift(earlier, [folder, earlier])
    assert drift.reference.n_rows == 3000
    assert drift.reference.name == f"{folder} and 1 more"
    assert [column.distance for column in drift.columns] == pytest.approx([0] * 10, abs=1e-6)


def test_a_comparison_kept_as_json_stands_for_its_table(tmp_path: Path, earlier: Path) -> None:
    kept = tmp_path / "january.json"
    kept.write_text(json.dumps(measure_drift(earlier, [earlier]).facts()))
    table = write_table(tmp_path / "t.parquet", many_rows(500, width=40))
    assert measure_drift(table, [kept]).columns == measure_drift(table, [earlier]).columns


def test_another_model_is_noted(tmp_path: Path, earlier: Path) -> None:
    table = write_table(tmp_path / "t.parquet", many_rows(1000), model_id="f" * 64)
    drift = measure_drift(table, [earlier])
    assert drift.verdict == "stable"
    assert "note: scored by different models" in drift.in_words()


REFERENCE = {
    "status": {"ok": 990, "uncertain": 10},
    "label": {str(digit): 100 for digit in range(10)},
    "shape": {"0.5": 50, "0.7071": 250, "1": 500, "1.414": 200},
    "ink": {"0.08839": 80, "0.125": 750, "0.1768": 170},
}


@pytest.fixture
def knowing_bundle(pristine_bundle: Path) -> Path:
    """Return the folder of a registered bundle that knows its validation images."""
    folder = settings.models_folder() / "small" / "1"
    shutil.copytree(pristine_bundle, folder)
    change_manifest(folder, reference=REFERENCE)
    return folder


def test_the_model_knows_its_own_data(tmp_path: Path, knowing_bundle: Path) -> None:
    model_id = load_bundle(knowing_bundle).model_id
    table = write_table(tmp_path / "t.parquet", many_rows(1000), model_id=model_id)
    drift = measure_drift(table)
    expected = {"status": "stable", "label": "stable", "shape": "drifted", "ink": "stable"}
    assert verdicts(drift) == expected
    assert drift.reference.name == "the validation images of small@1"
    assert drift.reference.n_rows == 1000
    assert drift.notes == []
    assert measure_drift(table, [knowing_bundle]) == drift


def test_a_model_that_is_another_by_now_is_not_taken(tmp_path: Path, knowing_bundle: Path) -> None:
    with pytest.raises(
        UsageError, match=r"was scored by '0000.*small@1 is now another .*--against"
    ):
        measure_drift(write_table(tmp_path / "t.parquet", many_rows(10)))


def test_a_model_that_is_not_here_or_knows_nothing_is_told(tmp_path: Path, pristine_bundle: Path):
    bundle = load_bundle(pristine_bundle)
    table = write_table(tmp_path / "t.parquet", many_rows(10), model_id=bundle.model_id)
    with pytest.raises(UsageError, match=r"its model 'small@1' is not here; name .* --against"):
        measure_drift(table)
    with pytest.raises(UsageError, match=r"small@1: its manifest does not tell.*--against"):
        measure_drift(table, [pristine_bundle])


def test_a_damaged_reference_is_a_damaged_bundle(tmp_path: Path, bundle_folder: Path) -> None:
    change_manifest(bundle_folder, reference={"label": {"7": "many"}})
    table = write_table(tmp_path / "t.parquet", many_rows(10))
    with pytest.raises(BundleError, match="reference label has a count"):
        measure_drift(table, [bundle_folder])


def _empty(path: Path) -> None:
    whole = parquet.read_table(write_table(path, [FAILED]))
    parquet.write_table(whole.slice(0, 0), path)


def _foreign(path: Path) -> None:
    parquet.write_table(pa.table({"status": ["ok"]}), path)


def _newer(path: Path) -> None:
    metadata = {METADATA_KEY: json.dumps({"format_version": 99})}
    parquet.write_table(pa.table({"a": [1]}).replace_schema_metadata(metadata), path)


def _of_other_columns(path: Path) -> None:
    whole = parquet.read_table(write_table(path, [FAILED]))
    parquet.write_table(whole.drop_columns(["confidence"]), path)


def _flipped(path: Path) -> None:
    content = bytearray(write_table(path, many_rows(100)).read_bytes())
    places = parquet.ParquetFile(path).metadata.row_group(0)
    column = next(
        places.column(i)
        for i in range(places.num_columns)
        if places.column(i).path_in_schema == "confidence"
    )
    content[column.data_page_offset + column.total_compressed_size - 1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "holds no Parquet files"),
        (lambda path: path.write_text("text"), "is not a whole Parquet file"),
        (lambda path: path.write_bytes(b""), "is not a whole Parquet file"),
        (_foreign, "is not a scored table"),
        (_newer, "has format 99, this digitflow reads up to"),
        (_empty, "has no rows"),
        (_of_other_columns, "has no column 'confidence'"),
        (_flipped, "cannot be read .*checksum"),
    ],
)
def test_what_is_no_scored_table_is_refused(tmp_path: Path, earlier: Path, make, message: str):
    make(tmp_path / "x\n.parquet")
    for arguments in ([tmp_path / "x\n.parquet", [earlier]], [earlier, [tmp_path / "x\n.parquet"]]):
        with pytest.raises(UsageError, match=message) as caught:
            measure_drift(*arguments)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match=message):
        check_reference([earlier, tmp_path / "x\n.parquet"])


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"table": 3}', "[" * 10_000, '{"table": {"n_rows": 1, "model_ids": []}}'],
)
def test_json_that_is_no_comparison_is_refused(tmp_path: Path, earlier: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UsageError, match=r"x\.json: cannot be used \(not what --json prints\)"):
        measure_drift(earlier, [tmp_path / "x.json"])
    with pytest.raises(UsageError, match="not what --json prints"):
        check_reference([tmp_path / "x.json"])


def test_a_reference_that_can_be_read_is_taken(earlier: Path, knowing_bundle: Path) -> None:
    (kept := earlier.with_suffix(".json")).write_text(
        json.dumps(measure_drift(earlier, [earlier]).facts())
    )

    check_reference([])
    check_reference([earlier, kept, knowing_bundle])


def test_json_of_nothing_in_common_is_refused(tmp_path: Path, earlier: Path) -> None:
    facts = {"n_rows": 1, "model_ids": [], "profile": {"label": {}}}
    (tmp_path / "x.json").write_text(json.dumps({"table": facts}))
    with pytest.raises(UsageError, match="no column in common"):
        measure_drift(earlier, [tmp_path / "x.json"])


def test_comparing_loads_nothing_heavy(earlier: Path) -> None:
    script = (
        f"import sys; from digitflow.scoring.drift import measure_drift; "
        f"measure_drift({str(earlier)!r}, [{str(earlier)!r}]); "
        "print([m for m in ('pandas', 'matplotlib', 'scipy', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
