"""What is done to training images, batch by batch, inside the training step."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("digitflow")
class RandomShift(keras.layers.Layer):
    """Move each image by whole pixels, drawn anew for each batch; what enters is black.

    Only in training. The move is two products with shifted identity matrices, which needs no
    gather and costs next to nothing beside a convolution.

    Parameters
    ----------
    pixels : int
        The largest move in each direction, px.
    seed : int or None
        Seed of the draws.
    """

    def __init__(self, pixels: int, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pixels = pixels
        self.seed = seed
        self.random = keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool | None = None) -> Any:
        """Shift a batch of shape (n, height, width, channels)."""
        if not training or self.pixels == 0:
            return images
        height, width = images.shape[1], images.shape[2]
        rows = self._shift_matrices(ops.shape(images)[0], height)
        columns = self._shift_matrices(ops.shape(images)[0], width)
        return ops.einsum("nyh,nhwc,nxw->nyxc", rows, images, columns)

    def _shift_matrices(self, n: Any, size: int) -> Any:
        """Return (n, size, size) matrices that move a line of `size` pixels by -p..p places."""
        moves = keras.random.randint((n, 1), -self.pixels, self.pixels + 1, seed=self.random)
        # one_hot gives an all-zero row where the source lies outside: black comes in.
        return ops.one_hot(ops.arange(size) + moves, size, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "pixels": self.pixels, "seed": self.seed}
