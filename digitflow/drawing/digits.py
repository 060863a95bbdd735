"""Digits drawn from strokes, in forms and with pens that MNIST's writers hardly used.

MNIST was written in the United States, with pencils. Mixed into its training images, these teach a
network a 1 with a long flag, a 7 with a bar, and what is drawn with a mouse or a marker.
"""

from collections.abc import Mapping

import numpy as np

from digitflow.drawing.digit_forms import FORMS
from digitflow.drawing.strokes import Form, draw_form
from digitflow.images.placing import SIDE

#: Digit -> name of the form -> its strokes.
Forms = Mapping[int, Mapping[str, Form]]


def draw_digits(n: int, seed: int, forms: Forms = FORMS) -> tuple[np.ndarray, np.ndarray]:
    """Draw handwritten digits, all ten equally often, in all of their forms.

    Parameters
    ----------
    n : int
        How many.
    seed : int
        The same seed draws the same digits.
    forms : mapping of digit to forms
        At least one for each of the ten digits. Default: all that are known.

    Returns
    -------
    images : ndarray of shape (n, 28, 28), uint8
        In MNIST's form, bright on black.
    labels : ndarray of shape (n,), int64
        The digits.
    """
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(n) % 10)
    images = np.zeros((n, SIDE, SIDE), np.uint8)
    for digit, of_it in forms.items():
        of_digit = np.flatnonzero(labels == digit)
        order = generator.permutation(len(of_it))
        chosen = generator.permutation(np.resize(order, len(of_digit)))
        for number, form in enumerate(of_it.values()):
            of_form = of_digit[chosen == number]
            images[of_form] = draw_form(form, len(of_form), generator)
    return images, labels
