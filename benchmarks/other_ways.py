"""Other ways to read a folder of digits, for `scoring.py` to compare digitflow with.

    python benchmarks/other_ways.py bare FOLDER BUNDLE OUTPUT

`bare` reads, decodes and infers as fast as it goes in as many processes as there are cores, checks
nothing and writes nothing. `keras` is `image_dataset_from_directory`, `predict` and a Parquet file,
`single` one `predict` for each image, `ray` Ray Data. All run the network of a bundle on images
that have MNIST's form already.
"""

import io
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# For every numerical library, before it is loaded: more threads only get in each other's way.
if sys.argv[1:2] == ["bare"]:
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

import numpy as np

_READ_BYTES = 8192  # at once; small images have less
_BARE_BATCH = 32  # images; the fastest for LiteRT
_KERAS_BATCH = 256


def score_bare(folder: Path, bundle: Path, output: Path) -> None:
    """Read, decode and infer: what none can be faster than."""
    paths = [os.path.join(where, name) for where, _, names in os.walk(folder) for name in names]  # noqa: PTH118
    n_processes = len(os.sched_getaffinity(0))
    context = multiprocessing.get_context("fork")
    with context.Pool(n_processes, _load_bare, (bundle / "model.tflite",)) as pool:
        parts = [paths[number::n_processes] for number in range(n_processes)]
        n_scored = sum(pool.map(_score_bare, parts))
    if n_scored != len(paths):
        sys.exit(f"{n_scored} of {len(paths)} images were scored")


def _load_bare(network: Path) -> None:
    global _interpreter
    from ai_edge_litert.interpreter import Interpreter

    _interpreter = Interpreter(str(network), num_threads=1)
    _interpreter.resize_tensor_input(
        _interpreter.get_input_details()[0]["index"], (_BARE_BATCH, 28, 28, 1)
    )
    _interpreter.allocate_tensors()


def _score_bare(paths: Sequence[str]) -> int:
    from PIL import Image

    given = _interpreter.get_input_details()[0]["index"]
    gives = _interpreter.get_output_details()[0]["index"]
    batch = np.zeros((_BARE_BATCH, 28, 28, 1), np.float32)
    n_scored = 0
    for start in range(0, len(paths), _BARE_BATCH):
        chunk = paths[start : start + _BARE_BATCH]
        for place, path in enumerate(chunk):
            descriptor = os.open(path, os.O_RDONLY)
            content = os.read(descriptor, _READ_BYTES)
            os.close(descriptor)
            with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
                batch[place, :, :, 0] = image
        batch[: len(chunk)] *= np.float32(1 / 255)
        _interpreter.set_tensor(given, batch)
        _interpreter.invoke()
        n_scored += len(_interpreter.get_tensor(gives)[: len(chunk)].argmax(axis=1))
    return n_scored


def score_by_keras(folder: Path, bundle: Path, output: Path) -> None:
    """Do as tutorials do with a folder of images."""
    import keras

    # `label_mode=None`, which is for folders without labels, gives the images alone.
    images = keras.utils.image_dataset_from_directory(
        folder,
        labels=None,
        color_mode="grayscale",
        image_size=(28, 28),
        batch_size=_KERAS_BATCH,
        shuffle=False,
    )
    paths = images.file_paths
    network = keras.models.load_model(bundle / "model.keras")
    probabilities = network.predict(images.map(lambda batch: batch / 255.0), verbose=0)
    _write_table(paths, probabilities, output)


def score_singly(folder: Path, bundle: Path, output: Path) -> None:
    """Call `predict` for each image; print the seconds that all calls took, JSON."""
    import keras
    from PIL import Image

    network = keras.models.load_model(bundle / "model.keras")
    paths = sorted(map(str, folder.rglob("*.png")))
    started, rows = time.perf_counter(), []
    for path in paths:
        with Image.open(path) as image:
            pixels = np.asarray(image, np.float32)[np.newaxis, ..., np.newaxis] / 255
        rows.append(network.predict(pixels, verbose=0)[0])
    seconds = time.perf_counter() - started
    _write_table(paths, np.stack(rows), output)
    print(json.dumps({"seconds": seconds, "images": len(paths)}))


def score_by_ray(folder: Path, bundle: Path, output: Path) -> None:
    """Stream the folder through Ray Data, LiteRT in its actors."""
    import ray

    class Network:
        def __init__(self) -> None:
            _load_bare(bundle / "model.tflite")

        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            pixels = batch["image"].reshape(-1, 28, 28, 1).astype(np.float32) / 255
            place = _interpreter.get_input_details()[0]["index"]
            _interpreter.resize_tensor_input(place, pixels.shape)
            _interpreter.allocate_tensors()
            _interpreter.set_tensor(place, pixels)
            _interpreter.invoke()
            logits = _interpreter.get_tensor(_interpreter.get_output_details()[0]["index"])
            return {"path": batch["path"], "label": logits.argmax(axis=1)}

    ray.init(include_dashboard=False, log_to_driver=False)
    images = ray.data.read_images(str(folder), mode="L", include_paths=True)
    actors = len(os.sched_getaffinity(0))
    scored = images.map_batches(Network, batch_size=_KERAS_BATCH, concurrency=actors)
    scored.write_parquet(str(output))


def _write_table(paths: Sequence[str], probabilities: np.ndarray, output: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    columns = {
        "path": paths,
        "label": probabilities.argmax(axis=1),
        "probabilities": list(probabilities),
    }
    parquet.write_table(pa.table(columns), output)


#: By the name on the command line.
WAYS: dict[str, Callable[[Path, Path, Path], None]] = {
    "bare": score_bare,
    "keras": score_by_keras,
    "single": score_singly,
    "ray": score_by_ray,
}

if __name__ == "__main__":
    WAYS[sys.argv[1]](*map(Path, sys.argv[2:]))
