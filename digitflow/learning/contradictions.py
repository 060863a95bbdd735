"""Training labels that the current version contradicts, more often than it errs.

A network that resists wrong labels learns little of them, and held-out images hardly tell it from
one of right labels. The version in use does: it reads the same images without those labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import fisher_exact

from digitflow.evaluation.class_comparison import holm

#: So rare by chance must the difference to the held-out images be, in any class.
LEVEL = 0.005

#: And so large: a current version that reads a class a little less well in what it did not learn
#: either, as in images that came in since, is no sign of wrong labels.
LEAST_EXCESS = 0.02


@dataclass(frozen=True)
class ContradictedClass:
    """A class whose training labels the current version contradicts."""

    name: str
    n: int  # training images that are labelled so
    contradicted: int  # of these, read as something else
    instead: str  # what they are read as most often
    expected: float  # the share of the held-out images of the class that are read wrongly, 0 to 1

    def in_words(self) -> str:
        """Return it as a part of a sentence."""
        return (
            f"{self.contradicted:,} of {self.n:,} images labelled {self.name} are read otherwise, "
            f"mostly as {self.instead} (of those held out {self.expected:.1%})"
        )


def find_contradicted(
    learned: tuple[NDArray[np.int64], NDArray[np.int64]],
    held_out: tuple[NDArray[np.int64], NDArray[np.int64]],
    class_names: Sequence[str],
) -> list[ContradictedClass]:
    """Find the classes whose training labels the current version contradicts.

    Of each class, the share of training images that are read otherwise than they are labelled is
    compared with that of the held-out images, by Fisher's exact test, one-sided; the p-values of
    all classes are corrected together (Holm 1979). That a model which did not learn wrong labels
    shows them is the idea of confident learning (Northcutt, Jiang and Chuang 2021).

    Parameters
    ----------
    learned, held_out : (ndarray of shape (n,), ndarray of shape (n,)), int
        Labels, and what the current version reads; n differs.
    class_names : sequence of str

    Returns
    -------
    list of ContradictedClass
        Where the difference is neither chance nor small; as a rule none.

    References
    ----------
    Northcutt, C., Jiang, L. and Chuang, I. (2021). Confident Learning: Estimating Uncertainty in
    Dataset Labels. Journal of Artificial Intelligence Research 70.
    """
    found, chances = [], []
    for place, name in enumerate(class_names):
        read, expected = (given[1][given[0] == place] for given in (learned, held_out))
        if not len(read) or not len(expected):
            continue
        wrong = [int((each != place).sum()) for each in (read, expected)]
        sizes = len(read), len(expected)
        table = [[count, size - count] for count, size in zip(wrong, sizes, strict=True)]
        chances.append(fisher_exact(table, alternative="greater").pvalue)
        counts = np.bincount(read[read != place], minlength=len(class_names))
        instead = class_names[int(counts.argmax())]
        found.append(ContradictedClass(name, len(read), wrong[0], instead, wrong[1] / sizes[1]))
    return [
        each
        for each, chance in zip(found, holm(chances), strict=True)
        if chance < LEVEL and each.contradicted / each.n - each.expected >= LEAST_EXCESS
    ]
