"""What is done to training images, batch by batch, inside the training step."""

import math
from numbers import Integral, Real
from typing import Any, Self

import keras
import numpy as np
from keras import ops
from sklearn.base import BaseEstimator

from digitflow.learning.inputs import IMAGE_SIZE, check_number

#: Pixels between the nodes whose moves make an elastic distortion; about half a digit's loop.
_NODE_SPACING = 7


class Augmentation(BaseEstimator):
    """How far training images are changed; each image draws its own amounts, evenly spread.

    Everything is off (0) by default.

    Parameters
    ----------
    shift : float
        Moved by up to so many pixels in each direction; by whole pixels, which blurs nothing,
        where this is a whole number and nothing else moves or turns them.
    rotation : float
        Turned by up to so many degrees either way about the centre.
    zoom : float
        Height and width, each for itself, made larger or smaller by up to this share.
    shear : float
        Slanted by up to so many degrees either way.
    elastic : float
        The nodes of a grid, 7 px apart, are moved by up to so many pixels, and what lies between
        follows smoothly.
    stroke : float
        Strokes made thicker or thinner by a pixel on each side, blended in by up to this share.
    blur : float
        Blended with the image blurred by about a pixel, by up to this share.
    cutout : int
        Side, px, of a square that is blackened; its centre lies anywhere in the image.
    noise : float
        Gaussian noise with a standard deviation of up to this share of full brightness.
    """

    def __init__(
        self,
        *,
        shift: float = 0,
        rotation: float = 0.0,
        zoom: float = 0.0,
        shear: float = 0.0,
        elastic: float = 0.0,
        stroke: float = 0.0,
        blur: float = 0.0,
        cutout: int = 0,
        noise: float = 0.0,
    ) -> None:
        self.shift = shift
        self.rotation = rotation
        self.zoom = zoom
        self.shear = shear
        self.elastic = elastic
        self.stroke = stroke
        self.blur = blur
        self.cutout = cutout
        self.noise = noise

    def is_on(self) -> bool:
        """Tell whether it changes anything."""
        return any(self.get_params().values())

    def check(self) -> None:
        """Refuse amounts that no image survives.

        Raises
        ------
        UsageError
            With the parameter's name, its value and what it must be (a `ValueError`).
        """
        check_number("shift", self.shift, Real, 0, IMAGE_SIZE - 1)
        check_number("rotation", self.rotation, Real, 0, 180)
        check_number("zoom", self.zoom, Real, 0, 0.9)
        check_number("shear", self.shear, Real, 0, 60)
        check_number("elastic", self.elastic, Real, 0, IMAGE_SIZE / 2)
        check_number("stroke", self.stroke, Real, 0, 1)
        check_number("blur", self.blur, Real, 0, 1)
        check_number("cutout", self.cutout, Integral, 0, IMAGE_SIZE)
        check_number("noise", self.noise, Real, 0, 1)


def augment(images: np.ndarray, augmentation: Augmentation, seed: int = 0) -> np.ndarray:
    """Show what an augmentation does to images.

    Parameters
    ----------
    images : ndarray of shape (n, 28, 28), uint8
    augmentation : Augmentation
    seed : int
        Seed of the draws.

    Returns
    -------
    ndarray of shape (n, 28, 28), uint8
    """
    layer = RandomAugmentation(augmentation, seed)
    changed = layer(images[..., None].astype(np.float32) / 255, training=True)
    return np.rint(255 * ops.convert_to_numpy(changed)[..., 0]).astype(np.uint8)


@keras.saving.register_keras_serializable("digitflow")
class RandomAugmentation(keras.layers.Layer):
    """Change each image of a batch in its own way, in training only; what enters is black.

    Takes and returns float32 images in 0..1 of shape (n, height, width, 1). All that moves pixels
    is one resampling, so that an image is blurred once, however much is asked for.

    Parameters
    ----------
    augmentation : Augmentation
    seed : int or None
        Seed of the draws.
    """

    def __init__(self, augmentation: Augmentation, seed: int | None = None, **kwargs: Any) -> None:
        # Sampling positions need more digits than half precision has.
        super().__init__(**{**kwargs, "dtype": "float32"})
        augmentation.check()
        self.augmentation = augmentation
        self.seed = seed
        self.random = keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool | None = None) -> Any:
        """Change a batch of shape (n, height, width, 1)."""
        amounts = self.augmentation
        if not training:
            return images
        if amounts.elastic:
            images = self._warp(images)
        elif amounts.rotation or amounts.zoom or amounts.shear or amounts.shift % 1:
            images = self._turn(images)
        elif amounts.shift:
            images = self._shift(images)
        if amounts.stroke:
            images = self._change_strokes(images)
        if amounts.blur:
            images = self._blur(images)
        if amounts.cutout:
            images = self._cut_out(images)
        if amounts.noise:
            images = self._add_noise(images)
        return images

    def _draw(self, shape: tuple[Any, ...], largest: float = 1.0) -> Any:
        """Draw numbers from -largest to largest."""
        return keras.random.uniform(shape, -largest, largest, seed=self.random)

    def _shift(self, images: Any) -> Any:
        """Move by whole pixels: a window of the padded image, which one gather cuts out."""
        n, pixels = ops.shape(images)[0], int(self.augmentation.shift)
        height, width = images.shape[1:3]
        padded_width = width + 2 * pixels
        padded_size = (height + 2 * pixels) * padded_width
        padded = ops.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)))
        window = np.arange(height, dtype="int32")[:, None] * padded_width + np.arange(width)
        moves = keras.random.randint((2, n, 1, 1), 0, 2 * pixels + 1, seed=self.random)
        first = ops.reshape(ops.arange(n) * padded_size, (n, 1, 1))
        places = first + moves[0] * padded_width + moves[1] + window.astype("int32")
        return ops.take(ops.reshape(padded, (-1, 1)), places, axis=0)

    def _turn(self, images: Any) -> Any:
        """Shift, turn, scale and slant, by the backend's own operation: faster than `_warp`."""
        yy, yx, y0, xy, xx, x0 = self._draw_affine(ops.shape(images)[0])
        y_centre, x_centre = ((size - 1) / 2 for size in images.shape[1:3])
        x_first = x0 + x_centre - xx * x_centre - xy * y_centre
        y_first = y0 + y_centre - yx * x_centre - yy * y_centre
        zero = ops.zeros_like(x0)
        transforms = ops.stack([xx, xy, x_first, yx, yy, y_first, zero, zero], axis=1)
        return ops.image.affine_transform(images, transforms, fill_mode="constant")

    def _warp(self, images: Any) -> Any:
        """Shift, turn, scale, slant and distort elastically."""
        n = ops.shape(images)[0]
        height, width = images.shape[1:3]
        nodes = np.kron(_spline_weights(height), _spline_weights(width))
        y, x = np.indices((height, width)).reshape(2, -1)
        basis = [y - (height - 1) / 2, x - (width - 1) / 2, np.ones(height * width), *nodes]
        affine = ops.reshape(ops.stack(self._draw_affine(n), axis=1), (n, 2, 3))
        moves = self._draw((n, 2, len(nodes)), self.augmentation.elastic)
        weights = ops.concatenate([affine, moves], axis=2)
        centre = np.array([[(height - 1) / 2], [(width - 1) / 2]], "float32")
        return _sample(images, ops.matmul(weights, np.array(basis, "float32")) + centre)

    def _draw_affine(self, n: Any) -> list[Any]:
        """Draw six numbers (n,) that say where a pixel comes from, about the image's centre.

        From y = yy * y + yx * x + y0 and x = xy * y + xx * x + x0, in this order.
        """
        amounts = self.augmentation
        turn, slant, tall, wide, down, right = ops.unstack(self._draw((6, n)), 6)
        turn, slant = turn * math.radians(amounts.rotation), slant * math.radians(amounts.shear)
        tall, wide = 1 / (1 + tall * amounts.zoom), 1 / (1 + wide * amounts.zoom)
        sine, cosine, slope = ops.sin(turn), ops.cos(turn), ops.tan(slant)
        from_y = [(cosine + sine * slope) * tall, sine * wide, down * amounts.shift]
        from_x = [(cosine * slope - sine) * tall, cosine * wide, right * amounts.shift]
        return [*from_y, *from_x]

    def _change_strokes(self, images: Any) -> Any:
        """Blend with the brightest (thicker) or darkest (thinner) of the four neighbours."""
        share = self._draw((ops.shape(images)[0], 1, 1, 1), self.augmentation.stroke)
        sign = ops.sign(share)
        signed = sign * images
        padded = ops.pad(signed, ((0, 0), (1, 1), (1, 1), (0, 0)))
        vertical = ops.maximum(padded[:, :-2, 1:-1], padded[:, 2:, 1:-1])
        horizontal = ops.maximum(padded[:, 1:-1, :-2], padded[:, 1:-1, 2:])
        grown = ops.maximum(signed, ops.maximum(vertical, horizontal))
        return images + share * (grown - signed)

    def _blur(self, images: Any) -> Any:
        """Blend with what a binomial filter of 5 pixels makes of each image, σ 1 px."""
        share = keras.random.uniform(
            (ops.shape(images)[0], 1, 1, 1), 0, self.augmentation.blur, seed=self.random
        )
        blurred = images
        for _ in range(2):
            padded = ops.pad(blurred, ((0, 0), (1, 1), (1, 1), (0, 0)))
            tall = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
            blurred = (tall[:, :, :-2] + 2 * tall[:, :, 1:-1] + tall[:, :, 2:]) / 16
        return images + share * (blurred - images)

    def _cut_out(self, images: Any) -> Any:
        """Blacken a square (DeVries & Taylor, "Cutout", 2017)."""
        n, side = ops.shape(images)[0], self.augmentation.cutout

        def inside(size: int) -> Any:
            first = keras.random.randint((n, 1), 0, size, seed=self.random) - side // 2
            places = np.arange(size, dtype="int32")
            within = ops.logical_and(places >= first, places < first + side)
            return ops.cast(within, "float32")

        rows, columns = (inside(size) for size in images.shape[1:3])
        return images * (1 - rows[:, :, None, None] * columns[:, None, :, None])

    def _add_noise(self, images: Any) -> Any:
        n = ops.shape(images)[0]
        deviation = keras.random.uniform((n, 1, 1, 1), 0, self.augmentation.noise, seed=self.random)
        noise = keras.random.normal(ops.shape(images), seed=self.random)
        return ops.clip(images + deviation * noise, 0, 1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape unchanged."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        amounts = self.augmentation.get_params()
        return {**super().get_config(), "augmentation": amounts, "seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Rebuild the layer."""
        return cls(**{**config, "augmentation": Augmentation(**config["augmentation"])})


def _spline_weights(size: int) -> np.ndarray:
    """Return the weight of each node at each pixel of a line, ndarray of shape (nodes, size).

    Cubic B-splines, whose weights are positive and add up to 1, as in the free-form deformations of
    Rueckert et al., "Nonrigid registration using free-form deformations" (1999).
    """
    places = np.arange(size) / _NODE_SPACING
    nodes = np.arange(-1, math.floor(places[-1]) + 3)
    distance = np.abs(places - nodes[:, None])
    near = 2 / 3 - distance**2 + distance**3 / 2
    return np.where(distance < 1, near, np.maximum(2 - distance, 0) ** 3 / 6)


def _sample(images: Any, places: Any) -> Any:
    """Interpolate images bilinearly at places (n, 2, height * width) in y and x, px."""
    n = ops.shape(images)[0]
    height, width = images.shape[1:3]
    # A rim of one black pixel, on which everything outside is read.
    flat = ops.reshape(ops.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0))), (-1,))
    y = ops.clip(places[:, 0] + 1, 0, height + 0.999)
    x = ops.clip(places[:, 1] + 1, 0, width + 0.999)
    top, left = ops.floor(y), ops.floor(x)
    row = width + 2
    corner = ops.cast(top * row + left, "int32")
    corner = corner + ops.expand_dims(ops.arange(n) * (row * (height + 2)), 1)
    pixels = [ops.take(flat, corner + step, axis=0) for step in (0, 1, row, row + 1)]
    upper, lower = (a + (b - a) * (x - left) for a, b in (pixels[:2], pixels[2:]))
    return ops.reshape(upper + (lower - upper) * (y - top), ops.shape(images))
