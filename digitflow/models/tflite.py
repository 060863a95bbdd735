"""A TFLite network, run by LiteRT."""

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from digitflow.console import native_chatter_hidden
from digitflow.errors import BundleError, UsageError
from digitflow.models.vetting import vet_network

IMAGE_SIZE = 28  # px, height and width of what a network reads

#: Images per run of the interpreter. Measured: 8 to 32 are fastest, 256 takes half as long again.
#: For one image alone, a run of 1 takes a twentieth; the answers are the same to the bit.
BATCH_SIZE = 32


class TFLiteNetwork:
    """A network that turns images into logits.

    One object serves one thread: LiteRT's interpreter is not re-entrant.

    Parameters
    ----------
    content : bytes
        The `.tflite` file.
    n_classes : int
        How many outputs it must have.
    batch_size : int
        Images per run of the interpreter, which takes as long for fewer.

    Raises
    ------
    BundleError
        If the content is not a TFLite network of one 28x28 image in and `n_classes` numbers out.
    """

    def __init__(self, content: bytes, n_classes: int, batch_size: int = BATCH_SIZE) -> None:
        try:
            vet_network(content, (IMAGE_SIZE, IMAGE_SIZE, 1), n_classes)
            with native_chatter_hidden(also_on_failure=True):
                self._interpreter = Interpreter(model_content=content, num_threads=1)
                self._input = self._interpreter.get_input_details()[0]["index"]
                self._output = self._interpreter.get_output_details()[0]["index"]
                shape = (batch_size, IMAGE_SIZE, IMAGE_SIZE, 1)
                self._interpreter.resize_tensor_input(self._input, shape)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise _not_run(error) from error
        self._n_classes = n_classes
        self._batch_size = batch_size

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Return the network's outputs.

        Parameters
        ----------
        images : ndarray of shape (n, 28, 28), uint8
            Ink bright on black.

        Returns
        -------
        ndarray of shape (n, n_classes), float32

        Raises
        ------
        UsageError
            If the images have another shape or type.
        BundleError
            If LiteRT cannot run the network.
        """
        if images.dtype != np.uint8 or images.shape[1:] != (IMAGE_SIZE, IMAGE_SIZE):
            raise UsageError(
                f"images are {images.dtype} of shape {images.shape}; they must be uint8 of shape "
                "(n, 28, 28): bring them there with digitflow.normalise"
            )
        logits = np.empty((len(images), self._n_classes), np.float32)
        batch = np.zeros((self._batch_size, IMAGE_SIZE, IMAGE_SIZE, 1), np.float32)
        for start in range(0, len(images), self._batch_size):
            chunk = images[start : start + self._batch_size]
            # The last batch keeps its size: what lies beyond its images is computed and dropped.
            np.multiply(chunk[..., np.newaxis], np.float32(1 / 255), out=batch[: len(chunk)])
            logits[start : start + len(chunk)] = self._run(batch)[: len(chunk)]
        return logits

    def _run(self, batch: np.ndarray) -> np.ndarray:
        self._interpreter.set_tensor(self._input, batch)
        try:
            self._interpreter.invoke()
        except RuntimeError as error:  # some of what LiteRT does not take it finds only now
            raise _not_run(error) from error
        return self._interpreter.get_tensor(self._output)


def _not_run(error: Exception) -> BundleError:
    first_line = str(error).partition("\n")[0]
    return BundleError(f"not a TFLite network that can be run ({first_line})")


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the softmax of each row, without overflow; same shape and dtype."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
