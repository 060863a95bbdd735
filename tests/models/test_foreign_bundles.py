"""Whatever is in a bundle's files, it is refused in one line or can be used; nothing else."""

import copy
import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile_networks import read_model, write_model
from hypothesis import given, settings
from hypothesis import strategies as st
from support import replace_file

from digitflow.errors import BundleError
from digitflow.models.bundle import GOLDEN, MANIFEST, TFLITE_FILES, load_bundle
from digitflow.models.chain import FLOAT
from digitflow.models.judging import familiarity, judge
from digitflow.models.npz import read_npz
from digitflow.models.predictor import Predictor
from digitflow.settings import shipped_models_folder

# The same examples in every run, none of them kept: what passes here passes elsewhere.
FIXED = settings(derandomize=True, database=None, deadline=None, max_examples=150)

SHIPPED = shipped_models_folder() / "mnist" / "pretrained"
WHOLE = json.loads((SHIPPED / MANIFEST).read_text())
LONGEST_MESSAGE = 400  # characters, without the folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(SHIPPED, tmp_path_factory.mktemp("bundles") / "mnist" / "foreign")


def use(folder: Path) -> str | None:
    """Use a bundle, and return the line with which it is refused, or None."""
    images = np.stack([np.zeros((28, 28), np.uint8), np.full((28, 28), 255, np.uint8)])
    try:
        bundle = load_bundle(folder)
        for tflite in TFLITE_FILES:
            probabilities = Predictor(bundle, tflite).predict_proba(images)
    except BundleError as error:
        said = str(error).replace(str(folder), "")
        assert said.isprintable()
        assert len(said) < LONGEST_MESSAGE
        return said
    assert np.isfinite(probabilities).all()
    for row, likeness in zip(
        probabilities, familiarity(probabilities, bundle.temperature), strict=True
    ):
        judge(row.max(), likeness, bundle)
        ",".join(bundle.class_names).encode()
    return None


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where the entries are that digitflow relies on."""
    found = [path] if path else []
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value[:3])
        if isinstance(value, list)
        else ()
    )
    for key, inside in items:
        if path or key in ("format", "name", "version", "class_names", "temperature", "thresholds"):
            found += paths_in(inside, (*path, key))
        elif key == "files":
            found += paths_in({"model.tflite": inside["model.tflite"]}, (key,))
    return found


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, -1, 2**63, 10**400])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=120),
    lambda inside: st.lists(inside, max_size=12) | st.dictionaries(st.text(), inside, max_size=4),
    max_leaves=15,
)


@FIXED
@given(path=st.sampled_from(paths_in(WHOLE)), value=values)
def test_any_value_in_a_manifest_is_refused_or_can_be_used(folder: Path, path, value):
    manifest = copy.deepcopy(WHOLE)
    holder = manifest
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    (folder / MANIFEST).write_text(json.dumps(manifest))

    use(folder)


@FIXED
@given(
    place=st.integers(0, len((SHIPPED / MANIFEST).read_bytes())),
    cut=st.integers(0, 60),
    put=st.binary(max_size=6) | st.sampled_from([b"{", b"[", b'"', b"1e999", b"NaN", b"\\ud800"]),
)
def test_any_bytes_in_a_manifest_are_refused_or_can_be_used(folder: Path, place, cut, put):
    content = (SHIPPED / MANIFEST).read_bytes()
    (folder / MANIFEST).write_bytes(content[:place] + put + content[place + cut :])

    use(folder)


@pytest.mark.parametrize("file", [*TFLITE_FILES.values(), GOLDEN])
@settings(FIXED, max_examples=60)
@given(data=st.data())
def test_any_bytes_in_a_file_are_refused_or_can_be_used(folder: Path, file: str, data):
    content = bytearray((SHIPPED / file).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, min(len(content), 8000)))
        put = data.draw(st.binary(min_size=1, max_size=4))
        content[-place : len(content) - place + len(put)] = put
    shutil.copy(SHIPPED / MANIFEST, folder / MANIFEST)
    replace_file(folder, file, bytes(content))

    use(folder)
    shutil.copy(SHIPPED / file, folder / file)


ROWS = {"images": np.dtype((np.uint8, (28, 28))), "dynamic": np.dtype((np.float32, (10,)))}


@FIXED
@given(
    shape=st.lists(st.integers(-1, 2**40) | st.sampled_from([1, 10, 28]), max_size=4),
    descr=st.sampled_from(["|u1", "<f4", ">f4", "|O", "<U9", "|V8", "<M8[s]", "x"]),
    order=st.booleans(),
    n_bytes=st.sampled_from([0, 784, 40, 10_000]),
    compressed=st.booleans(),
)
def test_any_array_is_refused_or_is_what_was_asked_for(shape, descr, order, n_bytes, compressed):
    header = f"{{'descr': {descr!r}, 'fortran_order': {order}, 'shape': {tuple(shape)!r}, }}"
    array = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode()
    stream = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name in ROWS:
            archive.writestr(f"{name}.npy", array + bytes(n_bytes))

    with pytest.raises(BundleError, match="cannot be read"):  # no array is both of them
        read_npz(stream.getvalue(), ROWS, 64)


def test_weights_so_large_that_they_overflow_are_said(folder: Path):
    shutil.copytree(SHIPPED, folder, dirs_exist_ok=True)
    model = read_model((SHIPPED / "model_float32.tflite").read_bytes())
    for tensor in model.subgraphs[0].tensors:
        weights = model.buffers[tensor.buffer].data
        if weights is not None and tensor.type == FLOAT:
            larger = 1e20 * weights.view("<f4")
            model.buffers[tensor.buffer].data = larger.astype("<f4").view(np.uint8)
    replace_file(folder, "model_float32.tflite", write_model(model))

    said = use(folder)

    assert said is not None
    assert "gives numbers that are not finite" in said
