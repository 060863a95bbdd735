"""Which values are black and white: learned from the training images, and held to by all others."""

import numpy as np

from digitflow.errors import UsageError

Range = tuple[float, float]

#: Data that reaches this, and no more than 255, is taken for pixels of 0..255.
_BRIGHT = 128
#: Whole numbers above this, and up to 255, are too: scikit-learn's own digits end at 16.
_FEW_LEVELS = 16
#: Floats whose maximum lies between 1 and this could be of 0..1 or of 0..255.
_OVERSHOOT = 2.0
#: By this factor other images may be brighter than those of the training.
_BRIGHTER = 1.25


def learn_range(rows: np.ndarray, images_only: bool) -> Range | None:
    """Return the values that are to become 0 and 1.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
        Images.
    images_only : bool
        What has negative values is scaled too; otherwise it is left as it is, which None says.
    """
    low, high = float(rows.min()), float(rows.max())
    if low < 0:
        return (low, max(high, 0.0)) if images_only else None
    if high <= 1:
        return 0.0, 1.0
    darkest = _FEW_LEVELS + 1 if rows.dtype.kind in "iu" else _BRIGHT
    return 0.0, 255.0 if darkest <= high <= 255 else high


def to_unit_range(rows: np.ndarray, learned: Range | None) -> np.ndarray:
    """Bring rows to the scale that the network was trained on, float32.

    Images that come as 0..255 where the training data was 0..1, or the other way round, are
    recognised and give the same result.

    Raises
    ------
    UsageError
        If the values cannot be on the scale of the training data.
    """
    if learned is None:
        return np.asarray(rows, np.float32)
    low, high = learned
    if low < 0:  # features that a CNN was given: any value may come
        return ((rows - low) / (high - low)).astype(np.float32)
    white = _white(rows, high)
    if white == 1:
        return np.asarray(rows, np.float32)
    return np.multiply(rows, np.float32(1 / white), dtype=np.float32)


def _white(rows: np.ndarray, fitted: float) -> float:
    """Return the value of white in these rows, given that of the training data."""
    if rows.dtype == bool:
        return 1.0
    if fitted == 1:
        return _white_for_units(rows)
    if fitted == 255:
        return _white_for_bytes(rows)
    low, high = float(rows.min()), float(rows.max())
    # A few pixels of 1 of 16 may be all there is in a row; in whole numbers that is as likely b/w.
    too_dim = 0 < high <= 1 and fitted > 8
    if low < 0 or high > _BRIGHTER * fitted or too_dim:
        raise UsageError(
            f"X has values from {low:g} to {high:g}, but the estimator was fitted on "
            f"0..{fitted:g}; scale X alike"
        )
    return fitted


def _white_for_bytes(rows: np.ndarray) -> float:
    """Return the value of white, 1 or 255, for an estimator that was fitted on 0..255."""
    low, high = float(rows.min()), float(rows.max())
    if not (low >= 0 and high <= 255):
        raise UsageError(
            f"X has values from {low:g} to {high:g}, but the estimator was fitted on pixels "
            "of 0..255; give the same"
        )
    if rows.dtype.kind == "f" and high <= 1:
        return 1.0
    if high == 1 or (rows.dtype.kind == "f" and high <= _OVERSHOOT):
        raise UsageError(
            f"X has nothing above {high:g}, but the estimator was fitted on pixels of 0..255: "
            "is it 0..1? Give floats of at most 1, or 0..255 as uint8"
        )
    return 255.0


def _white_for_units(rows: np.ndarray) -> float:
    """Return the value of white, 1 or 255, for an estimator that was fitted on 0..1."""
    if not _mostly_outside_of_one(rows):
        return 1.0
    low, high = float(rows.min()), float(rows.max())
    if low >= 0 and (rows.dtype == np.uint8 or _BRIGHT <= high <= 255):
        return 255.0
    if low >= 0 and high <= _OVERSHOOT:
        return 1.0
    raise UsageError(
        f"X has values from {low:g} to {high:g}, but the estimator was fitted on 0..1; "
        "scale X alike, or give 0..255 as uint8"
    )


def _mostly_outside_of_one(rows: np.ndarray) -> bool:
    """Tell another scale from a few values that leave 0..1, as a MinMaxScaler gives."""
    outside = np.count_nonzero(rows < 0) + np.count_nonzero(rows > 1)
    return bool(outside > np.count_nonzero(rows) / 2)
