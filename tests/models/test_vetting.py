"""What may be given to LiteRT, which crashes on much of the rest."""

import os
import random
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile_networks import read_model, write_model

from digitflow import settings
from digitflow.errors import BundleError
from digitflow.models.bundle import TFLITE_FILES
from digitflow.models.tflite import TFLiteNetwork
from digitflow.models.vetting import vet_network

SHIPPED = settings.shipped_models_folder() / "mnist" / "pretrained"
CONTENT = (SHIPPED / "model.tflite").read_bytes()
WHOLE = (SHIPPED / "model_int8.tflite").read_bytes()  # in whole numbers


def vet(content: bytes, n_classes: int = 10) -> None:
    vet_network(content, (28, 28, 1), n_classes)


@pytest.mark.parametrize("file", TFLITE_FILES.values())
def test_what_digitflow_exports_is_let_through(file: str):
    vet((SHIPPED / file).read_bytes())


def test_what_litert_refuses_only_when_it_runs_is_an_error_of_the_bundle(
    monkeypatch: pytest.MonkeyPatch,
):
    def refuse() -> None:
        raise RuntimeError("failed to create the runtime\nand more")

    network = TFLiteNetwork(CONTENT, 10)
    monkeypatch.setattr(network._interpreter, "invoke", refuse)

    with pytest.raises(BundleError, match=r"run \(failed to create the runtime\)$"):
        network.logits(np.zeros((1, 28, 28), np.uint8))


def test_another_input_or_output_is_refused():
    with pytest.raises(ValueError, match="does not map a 28x28 image to 26 logits"):
        vet(CONTENT, n_classes=26)
    with pytest.raises(ValueError, match=r"not declared as what it holds, \(1, 32, 32, 1\)"):
        vet_network(CONTENT, (32, 32, 1), 10)


def graph_of(model: Any) -> Any:
    return model.subgraphs[0]


def options_of(model: Any, place: int) -> Any:
    return graph_of(model).operators[place].builtinOptions


def taken_by(model: Any, place: int, number: int = 1) -> Any:
    """Return a tensor that an operation takes, its weights unless another is asked for."""
    return graph_of(model).tensors[graph_of(model).operators[place].inputs[number]]


def given_by(model: Any, place: int) -> Any:
    return graph_of(model).tensors[graph_of(model).operators[place].outputs[0]]


def fill(model: Any, tensor: Any, values: list[float], dtype: str) -> None:
    model.buffers[tensor.buffer].data = np.array(values, dtype).view(np.uint8)


def widen(model: Any) -> None:
    """Let the first operation gather too much for each of its many results."""
    weights, options = taken_by(model, 0), options_of(model, 0)
    weights.shape = [32, 64, 64, 1]
    options.padding, options.strideW, options.strideH = 0, 1, 1
    fill(model, weights, [0] * (32 * 64 * 64), "<f4")


# The first eight killed the process, or the heap, before there was a check. The operations are
# three convolutions, the third behind a pool, then four that flatten, then a dense layer.
CHANGES: dict[str, tuple[Callable[[Any], object], str]] = {
    "window": (lambda m: setattr(options_of(m, 2), "filterHeight", -2), "operation 2: .*window"),
    "padding": (lambda m: setattr(options_of(m, 2), "padding", 5), "operation 2: .*padding 5"),
    "variable": (lambda m: setattr(given_by(m, 8), "isVariable", True), r"entries: \[5\]"),
    "rank": (
        lambda m: setattr(taken_by(m, 3), "shape", [128, 3, 192]),
        r"operation 3: its weights \(128, 3, 192\) do not fit",
    ),
    "kind": (lambda m: setattr(m.operatorCodes[0], "builtinCode", 45), "operation 0: "),
    "other kind": (
        lambda m: setattr(graph_of(m).operators[4], "opcodeIndex", 1),
        "operation 4: its options are of another kind",
    ),
    "type": (lambda m: setattr(taken_by(m, 0), "type", 17), "a tensor of type 17"),
    "external": (lambda m: setattr(m.buffers[19], "offset", 1), r"unknown entries: \[1\]"),
    "huge": (
        lambda m: setattr(given_by(m, 0), "shape", [1, 2**15, 2**15, 32]),
        r"operation 0: a tensor is not declared as what it holds, \(1, 12, 12, 32\)",
    ),
    "huge weights": (
        lambda m: setattr(taken_by(m, 3), "shape", [2**20, 2**20, 2**20, 64]),
        "in 73728 bytes",
    ),
    "negative": (lambda m: setattr(taken_by(m, 3), "shape", [-1, 3]), "of type 9 and shape"),
    "stride": (lambda m: setattr(options_of(m, 0), "strideH", 0), "operation 0: .*strides"),
    "dilation": (lambda m: setattr(options_of(m, 0), "dilationWFactor", 2), "it is dilated"),
    "activation": (
        lambda m: setattr(options_of(m, 0), "fusedActivationFunction", 5),
        "activation is of an unknown kind, 5",
    ),
    "work": (widen, "operation 0: it takes more work"),
    "loop": (
        lambda m: setattr(graph_of(m).operators[1], "outputs", graph_of(m).operators[0].outputs),
        "operation 1: what it gives is known already",
    ),
    "order": (lambda m: graph_of(m).operators.reverse(), "operation 0: "),
    "missing weights": (
        lambda m: setattr(graph_of(m).operators[0], "inputs", [0, -1, 5]),
        "operation 0: its weights are missing",
    ),
    "no tensor": (
        lambda m: setattr(graph_of(m).operators[0], "inputs", [0, 999, 5]),
        "its parts lie outside of it",
    ),
    "no code": (
        lambda m: setattr(graph_of(m).operators[0], "opcodeIndex", 99),
        "its parts lie outside of it",
    ),
    "custom": (lambda m: setattr(m.operatorCodes[0], "customCode", b"x"), r"entries: \[1\]"),
    "unused": (
        lambda m: graph_of(m).tensors.append(graph_of(m).tensors[0]),
        "tensors that no operation uses",
    ),
    "shared weights": (
        lambda m: graph_of(m).tensors.extend([taken_by(m, 3)] * 900),
        "a list of it has 73,728 entries, over",
    ),
    "graphs": (lambda m: m.subgraphs.append(graph_of(m)), "2 graphs, not one"),
    "outputs": (lambda m: setattr(graph_of(m), "outputs", [19, 18]), "1 inputs and 2 outputs"),
    "signature": (
        lambda m: setattr(m.signatureDefs[0].inputs[0], "tensorIndex", 99),
        "names a tensor that it does not have",
    ),
    "metadata": (lambda m: setattr(m.metadata[0], "name", b"odd"), "metadata of an unknown kind"),
    "not finite": (
        lambda m: fill(m, taken_by(m, 0, 2), [np.nan] * 32, "<f4"),
        "its weights are not all finite",
    ),
    "scale": (
        lambda m: setattr(taken_by(m, 3).quantization, "scale", [float("inf")] * 128),
        "scales make no sense",
    ),
    "scales": (
        lambda m: setattr(taken_by(m, 3).quantization, "scale", [0.1] * 127),
        "scales make no sense",
    ),
    "axis": (
        lambda m: setattr(taken_by(m, 3).quantization, "quantizedDimension", 3),
        r"unknown entries: \[6\]",
    ),
    "slice": (
        lambda m: fill(m, taken_by(m, 5, 1), [1], "<i4"),
        "operation 5: it does not take the number of images",
    ),
    "rows": (
        lambda m: fill(m, taken_by(m, 6), [4], "<i4"),
        "operation 6: it makes a shape of rows that are not of 1152",
    ),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_what_is_not_as_digitflow_exports_it_is_refused(
    change: Callable[[Any], object], message: str
):
    model = read_model(CONTENT)
    change(model)

    with pytest.raises(ValueError, match=message):
        vet(write_model(model))


@pytest.mark.parametrize("length", [*range(0, 64), *range(64, len(CONTENT), 997)])
def test_a_file_that_is_cut_off_is_refused(length: int):
    with pytest.raises(ValueError, match=r"^(it|its|a part|a list) "):
        vet(CONTENT[:length])


def test_bytes_changed_at_random_are_refused_or_do_no_harm_in_short_time():
    chance = random.Random(0)
    started = time.process_time()
    for _ in range(300):
        content = bytearray(chance.choice([CONTENT, WHOLE]))
        for _ in range(chance.choice([1, 4, 40])):
            # Their structure lies before and behind the weights.
            place = chance.choice([chance.randrange(600), -chance.randrange(4, 9000)]) & ~3
            struct.pack_into("<I", content, place % len(content), chance.choice(
                [0, 1, 4, 2**16, 2**31, 2**32 - 4, chance.randrange(2**32)]
            ))  # fmt: skip
        with suppress(ValueError):
            vet(bytes(content))
    assert time.process_time() - started < 30


def run_hostile(repository: Path, file: str, first: int, last: int) -> tuple[int, int]:
    """Return how many changed networks were run and refused by a process that lived on."""
    script = repository / "tests" / "hostile_networks.py"
    done = subprocess.run(
        [sys.executable, str(script), str(SHIPPED / file), str(first), str(last)],
        env=os.environ | {"PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-300:]
    run, refused = map(int, done.stdout.split())
    return run, refused


@pytest.mark.parametrize("file", ["model.tflite", "model_int8.tflite"])
def test_networks_changed_at_random_never_end_the_process(repository: Path, file: str):
    run, refused = run_hostile(repository, file, 0, 100)

    assert run
    assert refused > run


@pytest.mark.long
@pytest.mark.parametrize("file", TFLITE_FILES.values())
def test_many_networks_changed_at_random_never_end_the_process(repository: Path, file: str):
    run, refused = run_hostile(repository, file, 1000, 5000)

    assert refused > run > 100
