"""From 28x28 images to calibrated probabilities."""

from pathlib import Path

import numpy as np

from digitflow.errors import BundleError
from digitflow.models.bundle import TFLITE_FILES, Bundle, load_bundle
from digitflow.models.registry import find_model
from digitflow.models.tflite import BATCH_SIZE, TFLiteNetwork, softmax

#: How far a golden probability may be off on another processor; a damaged model is off by more.
_GOLDEN_TOLERANCE = 0.02


class Predictor:
    """A model bundle, ready to read digits.

    One predictor serves one thread.

    Parameters
    ----------
    bundle : Bundle
        What `load_bundle` returned.
    tflite : str
        Which of the bundle's TFLite formats to run: `"dynamic"`, `"float32"` or `"int8"`.
    batch_size : int
        How many images are run at once: 1 where they come one by one.

    Attributes
    ----------
    bundle : Bundle
        The model's manifest, class names and thresholds.

    Raises
    ------
    BundleError
        If the TFLite file does not fit the manifest or fails on the bundle's golden images.
    """

    def __init__(
        self, bundle: Bundle, tflite: str = "dynamic", batch_size: int = BATCH_SIZE
    ) -> None:
        self.bundle = bundle
        self._path = bundle.folder / TFLITE_FILES[tflite]
        content = bundle.read(self._path.name)
        try:
            self._network = TFLiteNetwork(content, len(bundle.class_names), batch_size)
        except BundleError as error:
            raise BundleError(f"{self._path}: {error}") from error
        self._check_golden(tflite)

    @classmethod
    def load(cls, model: str | Path | None = None) -> "Predictor":
        """Return a predictor for a model's name, `name@version`, or a bundle's folder."""
        return cls(load_bundle(find_model(model)))

    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities.

        Parameters
        ----------
        images : ndarray of shape (n, 28, 28), uint8
            Ink bright on black, placed as MNIST's digits are.

        Returns
        -------
        ndarray of shape (n, n_classes), float32
            Each row sums to 1; columns are in the order of `bundle.class_names`.

        Raises
        ------
        UsageError
            If the images have another shape or type.
        BundleError
            If the network gives numbers that are not finite.
        """
        with np.errstate(over="ignore"):
            logits = self._network.logits(images) / np.float32(self.bundle.temperature)
        if not np.isfinite(logits).all():
            raise BundleError(
                f"{self._path}: gives numbers that are not finite; the training went wrong, "
                "choose another model"
            )
        return softmax(logits)

    def _check_golden(self, tflite: str) -> None:
        images, expected = self.bundle.golden(tflite)
        difference = float(np.abs(self.predict_proba(images) - expected).max())
        # Written so that NaN fails too.
        if not difference <= _GOLDEN_TOLERANCE:
            raise BundleError(
                f"{self._path}: probabilities of the golden images are {difference:.3f} off; "
                "the model is damaged or does not run on this machine"
            )
