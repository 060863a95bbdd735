"""Why a model reads an image as it does: where a small change would change its mind."""

from collections.abc import Callable

import numpy as np

#: Radius of the spots that are turned to their opposite, px: wider than MNIST's strokes.
_RADIUS = 2

# A probability of 1 has no logit; this is as near as float32 comes.
_NEAREST = 1e-7


def dependence_map(
    predict_proba: Callable[[np.ndarray], np.ndarray], image: np.ndarray
) -> np.ndarray:
    """Return how much the answer depends on each place of an image.

    A spot around each pixel is turned to its opposite, erased where the pixel is ink and filled
    where it is not, and the map holds what the log-odds of the answer lose by it. So it shows gaps
    that count, as between a 3 and an 8, as well as strokes. It needs no gradients, and so runs on
    any exported model; in the manner of Zeiler & Fergus, "Visualizing and understanding
    convolutional networks" (2014), section 4.

    Parameters
    ----------
    predict_proba : callable
        From images, uint8 (n, rows, columns), to probabilities (n, n_classes): a model's.
    image : ndarray of shape (rows, columns), uint8
        What the model sees.

    Returns
    -------
    ndarray of shape (rows, columns), float32
        0 where the change does not hurt the answer, otherwise natural logarithms of odds lost.
    """
    answers = predict_proba(np.concatenate([image[np.newaxis], _changed(image)]))
    best = int(answers[0].argmax())
    odds = _log_odds(answers[:, best])
    return np.maximum(odds[0] - odds[1:], 0).reshape(image.shape).astype(np.float32)


def _changed(image: np.ndarray) -> np.ndarray:
    """Return the image with the spot around each pixel turned, uint8 (rows * columns, ...)."""
    rows, columns = np.indices(image.shape)
    y, x = rows.reshape(-1, 1, 1), columns.reshape(-1, 1, 1)
    spots = (rows - y) ** 2 + (columns - x) ** 2 <= _RADIUS**2
    opposite = np.where(image >= 128, 0, 255).astype(np.uint8).reshape(-1, 1, 1)
    return np.where(spots, opposite, image)


def _log_odds(probabilities: np.ndarray) -> np.ndarray:
    inside = np.clip(probabilities.astype(np.float64), _NEAREST, 1 - _NEAREST)
    return np.log(inside / (1 - inside))
