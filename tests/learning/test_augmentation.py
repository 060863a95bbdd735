import keras
import numpy as np
import pytest
from sklearn.base import clone

from digitflow.errors import UsageError
from digitflow.learning.augmentation import Augmentation, RandomAugmentation, augment

EVERYTHING = {
    "shift": 2,
    "rotation": 10.0,
    "zoom": 0.1,
    "shear": 10.0,
    "elastic": 3.0,
    "stroke": 0.5,
    "blur": 0.5,
    "cutout": 8,
    "noise": 0.1,
}


def change(images: np.ndarray, seed: int = 0, **amounts: float) -> np.ndarray:
    layer = RandomAugmentation(Augmentation(**amounts), seed)
    return keras.ops.convert_to_numpy(layer(images, training=True))


def bar(angle: float = 0.0, n: int = 400, width: int = 5) -> np.ndarray:
    """Return n smooth bars, 16 px long, tilted by so many degrees."""
    y, x = np.indices((28, 28)) - 13.5
    sine, cosine = np.sin(np.radians(angle)), np.cos(np.radians(angle))
    along, across = cosine * y + sine * x, cosine * x - sine * y
    one = np.clip(8.5 - np.abs(along), 0, 1) * np.clip((width + 1) / 2 - np.abs(across), 0, 1)
    return np.repeat(one[None, ..., None], n, axis=0).astype(np.float32)


def moments(images: np.ndarray) -> dict[str, np.ndarray]:
    """Return ink, centre of mass, spread and tilt (degrees) of each image."""
    ink = images[..., 0].sum(axis=(1, 2))
    y, x = np.indices((28, 28))

    def mean(of: np.ndarray) -> np.ndarray:
        return (images[..., 0] * of).sum(axis=(1, 2)) / ink

    y0, x0 = mean(y), mean(x)
    yy, xx, xy = mean(y * y) - y0**2, mean(x * x) - x0**2, mean(x * y) - x0 * y0
    tilt = np.degrees(np.arctan2(2 * xy, yy - xx) / 2)
    return {"ink": ink, "y": y0, "x": x0, "tilt": tilt, "tall": yy**0.5, "wide": xx**0.5}


def is_spread_over(found: np.ndarray, low: float, high: float, tolerance: float) -> bool:
    """Tell whether evenly drawn numbers fill a range, and nothing but the range."""
    width = high - low
    within = found.min() >= low - tolerance and found.max() <= high + tolerance
    filled = found.min() <= low + 0.05 * width and found.max() >= high - 0.05 * width
    return within and filled and abs(found.mean() - (low + high) / 2) < 0.06 * width


def test_nothing_changes_by_default_or_outside_training():
    images = bar(20)

    assert np.array_equal(change(images), images)
    everything = RandomAugmentation(Augmentation(**EVERYTHING))
    assert np.array_equal(everything(images, training=False), images)


@pytest.mark.parametrize("name", EVERYTHING)
def test_each_amount_alone_changes_images_and_each_in_its_own_way(name: str):
    changed = change(bar(20), **{name: EVERYTHING[name]})

    assert changed.shape == (400, 28, 28, 1)
    assert changed.dtype == np.float32
    assert changed.min() >= 0
    assert changed.max() <= 1 + 1e-6
    assert len(np.unique(changed.reshape(400, -1), axis=0)) > 20


def test_a_shift_moves_each_image_as_a_whole_by_whole_pixels():
    images = np.zeros((200, 28, 28, 1), np.float32)
    images[:, 3:25, 3:25] = np.random.default_rng(0).random((200, 22, 22, 1))

    moved = change(images, shift=2)

    seen = set()
    for before, after in zip(images, moved, strict=True):
        moves = [
            (dy, dx)
            for dy in range(-2, 3)
            for dx in range(-2, 3)
            if np.array_equal(np.roll(before, (dy, dx), axis=(0, 1)), after)
        ]
        assert len(moves) == 1
        seen.update(moves)
    assert len(seen) == 25


@pytest.mark.parametrize("shift", [3, 2.8])
@pytest.mark.parametrize("elastic", [0, 1e-3])
def test_a_shift_is_in_its_range_and_loses_no_ink(shift: float, elastic: float):
    images = bar()

    moved = moments(change(images, shift=shift, elastic=elastic))

    assert is_spread_over(moved["y"] - 13.5, -shift, shift, 0.01)
    assert is_spread_over(moved["x"] - 13.5, -shift, shift, 0.01)
    assert np.allclose(moved["ink"], images[0].sum(), rtol=2e-3)


def test_what_enters_is_black():
    white = np.ones((50, 28, 28, 1), np.float32)

    moved = change(white, shift=2)

    assert set(np.unique(moved)) == {0.0, 1.0}
    assert moved.sum(axis=(1, 2, 3)).min() == 26 * 26
    assert change(white, rotation=45)[:, 0, 0].min() == 0
    assert change(white, rotation=45, elastic=1e-3)[:, 0, 0].min() == 0


@pytest.mark.parametrize("elastic", [0, 1e-3])
def test_a_rotation_turns_about_the_centre(elastic: float):
    images = bar()

    turned = moments(change(images, rotation=20, elastic=elastic))

    assert is_spread_over(turned["tilt"], -20, 20, 0.5)
    assert np.allclose(turned["y"], 13.5, atol=0.05)
    assert np.allclose(turned["x"], 13.5, atol=0.05)
    assert np.allclose(turned["ink"], images[0].sum(), rtol=0.02)


@pytest.mark.parametrize("elastic", [0, 1e-3])
def test_a_zoom_scales_height_and_width_each_for_itself(elastic: float):
    images = bar(width=14)
    before = moments(images)

    after = moments(change(images, zoom=0.2, elastic=elastic))

    taller, wider = after["tall"] / before["tall"], after["wide"] / before["wide"]
    assert is_spread_over(taller, 0.8, 1.2, 0.02)
    assert is_spread_over(wider, 0.8, 1.2, 0.02)
    assert abs(np.corrcoef(taller, wider)[0, 1]) < 0.2


@pytest.mark.parametrize("elastic", [0, 1e-3])
def test_a_shear_slants_but_keeps_height_and_ink(elastic: float):
    images = bar()

    slanted = moments(change(images, shear=20, elastic=elastic))

    slopes = np.tan(np.radians(slanted["tilt"]))
    assert np.degrees(np.arctan(np.abs(slopes).max())) == pytest.approx(21, abs=2)
    assert np.abs(slanted["tilt"].mean()) < 2
    assert np.allclose(slanted["tall"], moments(images)["tall"], rtol=0.02)
    assert np.allclose(slanted["ink"], images[0].sum(), rtol=0.02)


def test_both_ways_of_turning_draw_the_same_picture():
    amounts = {"shift": 2, "rotation": 15, "zoom": 0.15, "shear": 10}
    images = bar(30)

    # Amounts too small to see choose the other way; the affine draws come first in both.
    assert np.allclose(
        change(images, **amounts), change(images, **amounts, elastic=1e-5), atol=1e-3
    )


def test_an_elastic_distortion_moves_parts_differently_and_never_beyond_its_range():
    dots = np.zeros((400, 28, 28, 1), np.float32)
    dots[:, 6:9, 6:9] = dots[:, 19:22, 19:22] = 1

    warped = change(dots, elastic=4.0)

    upper, lower = warped.copy(), warped.copy()
    upper[:, 14:] = 0
    lower[:, :14] = 0
    moves = np.stack([moments(upper)["y"] - 7, moments(lower)["y"] - 20])
    assert np.abs(moves).max() < 4
    assert moves.std(axis=1) == pytest.approx(1.15, abs=0.25)
    assert abs(np.corrcoef(moves)[0, 1]) < 0.2


def test_strokes_get_thicker_and_thinner():
    images = bar()

    ink = moments(change(images, stroke=0.5))["ink"] / images[0].sum()

    thicker = (17 + 1) * (5 + 1) / (17 * 5)
    assert ink.max() == pytest.approx(thicker, abs=0.08)
    assert ink.min() == pytest.approx(2 - thicker, abs=0.08)
    assert abs(np.mean(ink) - 1) < 0.03


def test_blur_spreads_ink_and_keeps_its_amount():
    dot = np.zeros((400, 28, 28, 1), np.float32)
    dot[:, 14, 14] = 1

    blurred = change(dot, blur=0.8)

    assert blurred.sum(axis=(1, 2, 3)) == pytest.approx(np.ones(400), abs=1e-5)
    # A binomial filter of 5 leaves 6/16 along each side in the middle.
    assert is_spread_over((1 - blurred[:, 14, 14, 0]) / (1 - (6 / 16) ** 2), 0, 0.8, 0.03)
    y, x = np.indices((28, 28)) - 14
    variance = (blurred[..., 0] * (x**2 + y**2)).sum(axis=(1, 2)) / 2
    assert is_spread_over(variance, 0, 0.8, 0.03)


def test_a_cutout_blackens_one_square():
    white = np.ones((400, 28, 28, 1), np.float32)

    holes = 1 - change(white, cutout=8)[..., 0]

    assert set(np.unique(holes)) == {0.0, 1.0}
    assert holes.sum(axis=(1, 2)).max() == 64
    rows, columns = holes.max(axis=2), holes.max(axis=1)
    assert np.array_equal(holes, rows[:, :, None] * columns[:, None, :])
    # Each pixel within reach of the rim is hit as often as any other.
    assert holes.mean(axis=0)[8:20, 8:20].std() < 0.03


def test_noise_is_as_strong_as_asked():
    grey = np.full((400, 28, 28, 1), 0.5, np.float32)

    deviation = change(grey, noise=0.1).std(axis=(1, 2, 3))

    assert is_spread_over(deviation, 0, 0.1, 0.01)


def test_the_seed_decides_the_draws():
    images = bar()

    first, again, other = (change(images, seed, **EVERYTHING) for seed in (1, 1, 2))

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_each_batch_draws_anew():
    layer = RandomAugmentation(Augmentation(rotation=10), seed=1)

    assert not np.array_equal(layer(bar(), training=True), layer(bar(), training=True))


def test_the_layer_is_rebuilt_from_its_config():
    layer = RandomAugmentation(Augmentation(**EVERYTHING), seed=3, name="augmentation")

    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))

    assert again.get_config() == layer.get_config()
    images = bar()
    assert np.array_equal(again(images, training=True), layer(images, training=True))


def test_a_fit_augments_within_its_compiled_step():
    images = keras.Input((28, 28, 1))
    x = RandomAugmentation(Augmentation(**EVERYTHING), seed=0)(images)
    x = keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(x))
    model = keras.Model(images, x)
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    upright_and_lying = np.concatenate([bar(0, 50), bar(90, 50)])

    # 100 images in batches of 32: the last one is smaller.
    labels = np.repeat([0, 1], 50)
    history = model.fit(upright_and_lying, labels, batch_size=32, epochs=5, verbose=0).history

    assert history["accuracy"][-1] > 0.9
    assert model.evaluate(upright_and_lying, labels, verbose=0)[1] == 1


def test_it_stays_exact_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = RandomAugmentation(Augmentation(rotation=10), seed=0)
    finally:
        keras.config.set_dtype_policy("float32")

    assert np.array_equal(layer(bar(), training=True), change(bar(), rotation=10))


def test_augment_takes_and_gives_grey_levels():
    images = np.rint(255 * bar(20)[..., 0]).astype(np.uint8)

    changed = augment(images, Augmentation(rotation=10), seed=5)

    assert changed.shape == images.shape
    assert changed.dtype == np.uint8
    assert not np.array_equal(changed, images)
    assert np.array_equal(changed, augment(images, Augmentation(rotation=10), seed=5))
    assert np.array_equal(augment(images, Augmentation()), images)


def test_the_amounts_are_parameters_as_scikit_learn_knows_them():
    augmentation = Augmentation(shift=2).set_params(rotation=10.0)

    assert clone(augmentation).get_params() == augmentation.get_params()
    assert repr(augmentation) == "Augmentation(rotation=10.0, shift=2)"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, -1) for name in EVERYTHING],
        *[(name, float("nan")) for name in EVERYTHING],
        *[(name, None) for name in EVERYTHING],
        *[(name, "1") for name in EVERYTHING],
        ("shift", 28),
        ("rotation", 181),
        ("zoom", 1.0),
        ("shear", 90),
        ("elastic", 15),
        ("stroke", 1.1),
        ("blur", 1.1),
        ("cutout", 2.5),
        ("cutout", 29),
        ("noise", 1.1),
        ("noise", True),
    ],
)
def test_nonsense_is_refused_by_name_and_value(name: str, value: object):
    augmentation = Augmentation(**{name: value})

    with pytest.raises(UsageError, match=f"{name}={value!r}: must be"):
        augmentation.check()
    with pytest.raises(UsageError, match=f"{name}={value!r}: must be"):
        RandomAugmentation(augmentation)
