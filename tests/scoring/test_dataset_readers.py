"""A dataset is read as it is by what people read Parquet folders with."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import polars
import pytest
from pyarrow import dataset as arrow_dataset
from scoring.scored_datasets import parts_of

from digitflow.scoring import growing
from digitflow.scoring.folder import score_folder


@pytest.fixture(params=[None, "day"], ids=["in one folder", "by day"])
def place(
    request: pytest.FixtureRequest, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A dataset of several parts, one of them written anew."""
    monkeypatch.setattr(growing, "PART_FILES", 6)
    place = tmp_path / "scored"
    score_folder(images, f"{place}/", partition_by=request.param)
    (images / "blank.png").unlink()
    score_folder(images, f"{place}/", partition_by=request.param)
    assert len(parts_of(place)) == 3
    return place


@pytest.fixture
def expected(images: Path, place: Path, tmp_path: Path) -> pd.DataFrame:
    table = tmp_path / "single.parquet"
    score_folder(images, table, run_id="x")
    frame = pd.read_parquet(table)
    frame["n_probabilities"] = [0 if row is None else len(row) for row in frame["probabilities"]]
    return frame


def by_arrow(place: Path) -> pd.DataFrame:
    return arrow_dataset.dataset(place, partitioning="hive").to_table().to_pandas()


def by_pandas(place: Path) -> pd.DataFrame:
    return pd.read_parquet(place)


def by_duckdb(place: Path) -> pd.DataFrame:
    rows = duckdb.sql(f"select * from read_parquet('{place}/**/*.parquet')")
    return pd.DataFrame(rows.fetchall(), columns=rows.columns)


def by_polars(place: Path) -> pd.DataFrame:
    return pd.DataFrame(polars.read_parquet(place).to_dicts())


@pytest.mark.parametrize("read", [by_arrow, by_pandas, by_duckdb, by_polars])
def test_readers_find_every_row_once(
    place: Path, expected: pd.DataFrame, read: Callable[[Path], pd.DataFrame]
) -> None:
    found = read(place)
    assert ("added_on" in found) == (next(place.glob("added_on=*"), None) is not None)
    assert sorted(found["path"]) == sorted(expected["path"])
    found = found.set_index("path").loc[expected["path"]].reset_index()
    for name in ("status", "label", "reason"):
        assert _plain(found[name]) == _plain(expected[name])
    for name in ("digit", "confidence", "size_bytes"):
        pd.testing.assert_series_equal(found[name], expected[name], check_dtype=False)
    lengths = [0 if row is None else len(row) for row in found["probabilities"]]
    assert lengths == expected["n_probabilities"].tolist()
    assert (pd.to_datetime(found["scored_at"], utc=True).dt.year >= 2020).all()


def _plain(column: pd.Series) -> list[str | None]:
    return [None if pd.isna(word) else str(word) for word in column]
