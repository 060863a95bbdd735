"""The scored table on disk: its columns, and that it is whole or not there."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from digitflow.errors import OutputError
from digitflow.scoring import table
from digitflow.scoring.scored import has_columns, is_whole, read_facts, read_rows
from digitflow.scoring.table import (
    Row,
    RowCounts,
    table_of,
    table_schema,
    write_part,
    write_table,
)

WORD = "dictionary<values=string, indices=int32, ordered=0>"
CONTRACT = {
    "path": "string",
    "path_bytes": "binary",
    "segment": "int16",
    "x": "int32",
    "y": "int32",
    "width": "int32",
    "height": "int32",
    "ink": "float",
    "status": WORD,
    "reason": WORD,
    "message": "string",
    "label": WORD,
    "digit": "int8",
    "confidence": "float",
    "probabilities": "fixed_size_list<element: float>[3]",
    "image_width": "int32",
    "image_height": "int32",
    "format": WORD,
    "mode": WORD,
    "orientation": "int8",
    "polarity": WORD,
    "n_frames": "int32",
    "size_bytes": "int64",
    "modified_at": "timestamp[us, tz=UTC]",
    "content_hash": "string",
    "model_id": WORD,
    "run_id": WORD,
    "scored_at": "timestamp[us, tz=UTC]",
}

READ = Row(
    path=b"a/7.png",
    status="uncertain",
    reason="low_confidence",
    message="look at it",
    x=4,
    y=5,
    width=20,
    height=18,
    label="7",
    digit=7,
    confidence=0.5,
    probabilities=np.array([0.25, 0.5, 0.25], np.float32),
    image_width=28,
    image_height=29,
    format="PNG",
    mode="L",
    orientation=1,
    polarity="dark_on_light",
    n_frames=1,
    size_bytes=300,
    modified_at=1_700_000_000_000_000,
    content_hash="ab" * 32,
)
FAILED = Row(path=b"b\xff\n.png", status="error", reason="truncated", message="cut off")


FACTS = {"model": {"class_names": ["6", "7", "8"]}, "run": {"run_id": "r1"}}


def make_table(rows: list[Row]) -> pa.Table:
    return table_of(rows, 3, "model", "run", scored_at=1_700_000_001_000_000)


def make_part(path: Path, rows: list[Row]) -> Path:
    write_part(make_table(rows), path)
    return path


def write(output: Path, *tables: pa.Table) -> RowCounts:
    return write_table(tables, output, output.with_name("temporary"), FACTS)


def rows_in(path: Path) -> list[dict]:
    return parquet.read_table(path).to_pylist()


def test_the_columns_on_disk_are_those_of_the_contract(tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    write(output, make_table([READ, FAILED]))
    schema = parquet.read_schema(output)
    assert {each.name: str(each.type) for each in schema} == CONTRACT
    assert schema.names == list(CONTRACT)
    assert schema.remove_metadata() == table_schema(3)


def test_every_value_comes_back_and_none_is_null(tmp_path: Path) -> None:
    read, failed = rows_in(make_part(tmp_path / "part", [READ, FAILED]))
    for name in Row.__slots__:
        if name not in ("path", "modified_at", "probabilities"):
            assert read[name] == getattr(READ, name), name
            assert failed[name] == getattr(FAILED, name), name
    assert (read["path"], read["path_bytes"]) == ("a/7.png", None)
    assert read["probabilities"] == [0.25, 0.5, 0.25]
    assert failed["probabilities"] is None
    assert read["scored_at"] == pd.Timestamp("2023-11-14 22:13:21", tz="UTC")
    assert read["modified_at"] == pd.Timestamp("2023-11-14 22:13:20", tz="UTC")
    assert read["model_id"] == failed["model_id"] == "model"


def test_a_name_that_is_not_text_is_kept_as_bytes(tmp_path: Path) -> None:
    (failed,) = rows_in(make_part(tmp_path / "part", [FAILED]))
    assert failed["path"] == "b\\xff\n.png"
    assert failed["path_bytes"] == b"b\xff\n.png"


def test_arrays_are_sound_to_arrow_itself() -> None:
    rows = [READ, FAILED] * 9  # more than one byte of every validity bitmap
    made = make_table(rows)
    made.validate(full=True)
    assert made["label"].null_count == 9


def test_tables_are_joined_in_order_with_facts_and_words_of_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "ROW_GROUP_ROWS", 4)
    output = tmp_path / "out.parquet"
    write(output, *(make_table([Row(b"%d" % n, format=f"F{n}")] * 2) for n in range(5)))
    assert [row["path"] for row in rows_in(output)] == [c for c in "01234" for _ in range(2)]
    assert [row["format"] for row in rows_in(output)][::2] == ["F0", "F1", "F2", "F3", "F4"]
    assert parquet.ParquetFile(output).metadata.num_row_groups == 3
    assert read_facts(output) == FACTS
    assert list(tmp_path.iterdir()) == [output]


def test_rows_are_counted_as_they_are_written(tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    counts = write(output, make_table([READ, FAILED, READ]), make_table([Row(b"c")]))
    assert counts.n_rows == 4
    assert counts.statuses == {"uncertain": 2, "error": 1, "ok": 1}
    assert counts.reasons == {"low_confidence": 2, "truncated": 1}
    assert counts.labels == {"7": 2}
    again = RowCounts()
    for rows in read_rows(output, table.COUNTED):
        again.add(rows)
    assert again == counts


def test_the_table_carries_statistics_and_page_checksums(tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    write(output, make_table([READ]))
    column = parquet.ParquetFile(output).metadata.row_group(0).column(0)
    assert column.compression == "ZSTD"
    assert column.statistics.min == "a/7.png"
    content = bytearray(output.read_bytes())
    # The page's data follow its header, in front of the next column's.
    content[column.data_page_offset + column.total_compressed_size - 1] ^= 1
    output.write_bytes(content)
    with pytest.raises(OSError, match="checksum"):
        parquet.read_table(output, page_checksum_verification=True)


def test_what_fails_leaves_the_old_table_and_nothing_else(tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    write(output, make_table([READ]))
    before = output.read_bytes()
    with pytest.raises(pa.ArrowInvalid):
        write(output, make_table([READ]), pa.table({"path": ["of another schema"]}))
    assert output.read_bytes() == before
    assert list(tmp_path.iterdir()) == [output]


def test_a_part_is_whole_or_is_not(tmp_path: Path) -> None:
    part = make_part(tmp_path / "part", [READ, FAILED])
    assert is_whole(part, 3)
    assert not is_whole(part, 4)
    column = parquet.ParquetFile(part).metadata.row_group(0).column(23)
    content = part.read_bytes()
    flipped = bytearray(content)
    flipped[column.data_page_offset + column.total_compressed_size - 1] ^= 1
    for damaged in (bytes(flipped), content[:-100], b""):
        part.write_bytes(damaged)
        assert not is_whole(part, 3)
        with pytest.raises(OutputError, match="cannot be read back"):
            list(read_rows(part))
    assert not is_whole(tmp_path / "missing", 3)


def test_a_part_does_not_bring_a_vanished_folder_back(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file"):
        make_part(tmp_path / "vanished" / "part", [READ])
    assert list(tmp_path.iterdir()) == []


def test_other_columns_are_noticed(tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    write(output, make_table([READ]))
    assert has_columns(output, 3)
    assert not has_columns(output, 4)
    parquet.write_table(parquet.read_table(output).append_column("seen", [[True]]), output)
    assert read_facts(output) == FACTS
    assert not has_columns(output, 3)


def test_pandas_reads_it_as_it_is(tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    write(output, make_table([READ, FAILED]))
    frame = pd.read_parquet(output)
    assert list(frame.columns) == list(CONTRACT)
    assert frame["status"].tolist() == ["uncertain", "error"]
    assert isinstance(frame["status"].dtype, pd.CategoricalDtype)


def test_places_whose_names_are_not_text_are_written_and_read(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    part, output = make_part(folder / "part", [READ]), folder / os.fsdecode(b"o\xff.parquet")
    assert is_whole(part, 3)
    write(output, make_table([READ]))
    assert read_facts(output) == FACTS
    assert has_columns(output, 3)


def test_what_is_not_a_scored_table_has_no_facts(tmp_path: Path) -> None:
    other = tmp_path / "other.parquet"
    parquet.write_table(pa.table({"a": [1]}), other)
    assert read_facts(other) is None
    whole = other.read_bytes()
    for content in (b"", b"text", b"PAR1" * 5, whole[:-1], whole[:-20] + bytes(12) + whole[-8:]):
        other.write_bytes(content)
        assert read_facts(other) is None
