"""What tests look at in a dataset: its parts, whether they were touched, and its rows."""

from pathlib import Path

import pandas as pd
from scoring_support import frame_of

from digitflow.scoring.plan import place_in_walk


def parts_of(place: Path) -> list[Path]:
    return sorted(place.rglob("part-*.parquet"), key=lambda part: part.name)


def stand_of(place: Path) -> dict[Path, tuple[int, ...]]:
    """Return what would tell that a part, or a single table, was touched."""
    files = [place] if place.is_file() else parts_of(place)
    stats = {file: file.stat() for file in files}
    return {file: (s.st_ino, s.st_mtime_ns, s.st_ctime_ns) for file, s in stats.items()}


def rows_of(place: Path) -> pd.DataFrame:
    """Return the rows of a dataset in the order of the walk; each part must have it too."""
    frames = [frame_of(part) for part in parts_of(place)]
    for frame in frames:
        assert frame["path"].tolist() == _in_order(frame)["path"].tolist()
    frame = _in_order(pd.concat(frames))
    assert not frame.duplicated(["path", "path_bytes", "segment"]).any()
    return frame


def _in_order(frame: pd.DataFrame) -> pd.DataFrame:
    places = [
        (place_in_walk(raw if isinstance(raw, bytes) else path.encode()), segment)
        for path, raw, segment in zip(
            frame["path"], frame["path_bytes"], frame["segment"], strict=True
        )
    ]
    order = sorted(range(len(frame)), key=places.__getitem__)
    return frame.iloc[order].reset_index(drop=True)
