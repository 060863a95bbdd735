"""Batch prediction for handwritten digits.

The public names are handed out lazily (PEP 562): `import digitflow` loads none of the heavy
libraries, and each name loads only what it needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from digitflow.datasets.loading import Dataset, load_dataset
    from digitflow.errors import DigitflowError
    from digitflow.images.normalising import normalise
    from digitflow.images.reading import read_image
    from digitflow.images.segmenting import find_digits
    from digitflow.images.transformer import DigitNormalizer
    from digitflow.learning.augmentation import Augmentation
    from digitflow.learning.descriptions import load_estimator
    from digitflow.learning.estimators import ANNClassifier, CNNClassifier, make_classifier
    from digitflow.models.predictor import Predictor
    from digitflow.models.reader import DigitReader, spell
    from digitflow.scoring.folder import score_folder

__version__ = "0.1.0"

_HOMES = {
    "ANNClassifier": "digitflow.learning.estimators",
    "Augmentation": "digitflow.learning.augmentation",
    "CNNClassifier": "digitflow.learning.estimators",
    "Dataset": "digitflow.datasets.loading",
    "DigitNormalizer": "digitflow.images.transformer",
    "DigitReader": "digitflow.models.reader",
    "DigitflowError": "digitflow.errors",
    "Predictor": "digitflow.models.predictor",
    "find_digits": "digitflow.images.segmenting",
    "load_dataset": "digitflow.datasets.loading",
    "load_estimator": "digitflow.learning.descriptions",
    "make_classifier": "digitflow.learning.estimators",
    "normalise": "digitflow.images.normalising",
    "read_image": "digitflow.images.reading",
    "score_folder": "digitflow.scoring.folder",
    "spell": "digitflow.models.reader",
}

__all__ = [
    "ANNClassifier",
    "Augmentation",
    "CNNClassifier",
    "Dataset",
    "DigitNormalizer",
    "DigitReader",
    "DigitflowError",
    "Predictor",
    "find_digits",
    "load_dataset",
    "load_estimator",
    "make_classifier",
    "normalise",
    "read_image",
    "score_folder",
    "spell",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its home when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'digitflow' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
