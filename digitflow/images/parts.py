"""Connected parts of a mask, in NumPy alone: labelled by their runs, measured, and painted back."""

from dataclasses import dataclass

import numpy as np


def find_runs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row, first column and column past the end of each run of a mask, in reading order."""
    rows, columns = mask.shape
    padded = np.zeros((rows, columns + 2), bool)
    padded[:, 1:-1] = mask
    changes = np.flatnonzero(padded[:, 1:] != padded[:, :-1])
    row, column = np.divmod(changes, columns + 1)
    return row[::2], column[::2], column[1::2]


def paint_runs(
    shape: tuple[int, int], row: np.ndarray, start: np.ndarray, stop: np.ndarray
) -> np.ndarray:
    """Return the mask, bool of `shape` (rows, columns), that has these runs."""
    steps = np.zeros(shape[0] * shape[1] + 1, np.int8)
    # A run may begin where the last ended, in the next row: add, do not set.
    np.add.at(steps, row * shape[1] + start, 1)
    np.add.at(steps, row * shape[1] + stop, -1)
    return np.cumsum(steps[:-1], dtype=np.int8).reshape(shape).astype(bool)


@dataclass(frozen=True)
class Parts:
    """The n connected parts (8-neighbourhood) of a mask, and the m runs they are made of."""

    shape: tuple[int, int]  # of the mask: rows, columns
    run_row: np.ndarray  # int64 (m,)
    run_start: np.ndarray  # int64 (m,), first column
    run_stop: np.ndarray  # int64 (m,), one past the last column
    run_part: np.ndarray  # int64 (m,), 0..n-1
    boxes: np.ndarray  # int64 (n, 4): left, top, right, bottom; the last two one past the end

    @property
    def areas(self) -> np.ndarray:
        """Return how many pixels each part has, float64 (n,)."""
        lengths = self.run_stop - self.run_start
        return np.bincount(self.run_part, lengths, minlength=len(self.boxes)).astype(np.float64)

    def sum_over(self, values: np.ndarray) -> np.ndarray:
        """Return the sum of `values` (rows, columns) over each part, float64 (n,)."""
        if not len(self.boxes):
            return np.zeros(0)
        first = self.run_row * self.shape[1]
        # Of each run, and of the gap after it; the last run may end where the values do.
        edges = np.stack([first + self.run_start, first + self.run_stop], axis=1).ravel()
        edges = edges[: -1 if edges[-1] == values.size else None]
        sums = np.add.reduceat(values.ravel(), edges, dtype=np.float64)[::2]
        return np.bincount(self.run_part, sums, minlength=len(self.boxes))

    def share_near_box(self, margin: float) -> np.ndarray:
        """Return the share of each part's pixels that lie along its box's sides, float64 (n,).

        Along means nearer to a side than `margin` times the box's width or height.
        """
        left, top, right, bottom = self.boxes[self.run_part].T
        wide, high = margin * (right - left), margin * (bottom - top)
        length = self.run_stop - self.run_start
        first = np.maximum(self.run_start, left + wide)
        inner = np.maximum(np.minimum(self.run_stop, right - wide) - first, 0)
        level = (self.run_row < top + high) | (self.run_row >= bottom - high)
        near = np.bincount(self.run_part, np.where(level, length, length - inner))
        return near / np.maximum(np.bincount(self.run_part, length), 1)

    def paint(self, chosen: np.ndarray) -> np.ndarray:
        """Return the mask, bool (rows, columns), of the parts for which `chosen` (n,) is true."""
        runs = chosen[self.run_part]
        return paint_runs(self.shape, self.run_row[runs], self.run_start[runs], self.run_stop[runs])

    def box_around(self, chosen: np.ndarray) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom of the parts for which `chosen` (n,) is true."""
        left, top = self.boxes[chosen, :2].min(axis=0).tolist()
        right, bottom = self.boxes[chosen, 2:].max(axis=0).tolist()
        return left, top, right, bottom

    def paint_cropped(self, chosen: np.ndarray) -> np.ndarray:
        """Return what `paint` does, cut to the box around it."""
        left, top, right, bottom = self.box_around(chosen)
        runs = chosen[self.run_part]
        return paint_runs(
            (bottom - top, right - left),
            self.run_row[runs] - top,
            self.run_start[runs] - left,
            self.run_stop[runs] - left,
        )


def find_parts(mask: np.ndarray) -> Parts:
    """Find the connected parts of a mask, bool (rows, columns).

    Runs are the nodes of a graph, runs that touch its edges; labels sink to the least of their
    component by hooking and pointer jumping (Shiloach and Vishkin, 1982).
    """
    row, start, stop = find_runs(mask)
    upper, lower = _touching(row, start, stop, mask.shape[1])
    label = np.arange(len(row))
    while True:
        least = np.minimum(label[upper], label[lower])
        hooked = label.copy()
        np.minimum.at(hooked, label[upper], least)
        np.minimum.at(hooked, label[lower], least)
        hooked = hooked[hooked]
        if np.array_equal(hooked, label):
            break
        label = hooked
    roots, part = np.unique(label, return_inverse=True)
    boxes = np.empty((len(roots), 4), np.int64)
    boxes[:, :2] = np.iinfo(np.int64).max
    boxes[:, 2:] = 0
    np.minimum.at(boxes[:, 0], part, start)
    np.minimum.at(boxes[:, 1], part, row)
    np.maximum.at(boxes[:, 2], part, stop)
    np.maximum.at(boxes[:, 3], part, row + 1)
    rows, columns = mask.shape
    return Parts((rows, columns), row, start, stop, part, boxes)


def _touching(
    row: np.ndarray, start: np.ndarray, stop: np.ndarray, columns: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of runs in neighbouring rows that touch, corners included."""
    stride = columns + 2
    starts, stops = row * stride + start, row * stride + stop
    first = np.searchsorted(stops, starts + stride, "left")
    after = np.searchsorted(starts, stops + stride, "right")
    count = np.maximum(after - first, 0)
    upper = np.repeat(np.arange(len(row)), count)
    offset = np.arange(len(upper)) - np.repeat(np.cumsum(count) - count, count)
    return upper, np.repeat(first, count) + offset
