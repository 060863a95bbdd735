"""The trainings of a search: each leaves a small file, so that none is done twice."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from joblib import Parallel, delayed
from tqdm import tqdm

from digitflow.datasets.preparing import PreparedData, open_prepared
from digitflow.errors import TrainingError
from digitflow.evaluation.calibration import apply_temperature, fit_temperature
from digitflow.evaluation.metrics import compute_metrics
from digitflow.files import write_text
from digitflow.learning.descriptions import Estimator, arguments_of
from digitflow.learning.estimators import make_classifier

_TRIAL_FORMAT = 2  # goes up when the same trial would be trained or judged otherwise


class Candidate(NamedTuple):
    """Hyper-parameters to try, as JSON holds them."""

    name: str  # "recipe" or "trial 07"
    parameters: dict[str, Any]  # without the epochs; the augmentation is a dict of its amounts


@dataclass(frozen=True)
class Trial:
    """One training and what came of it."""

    candidate: str
    epochs: int
    seed: int
    accuracy: float  # share of the validation images; 0 where the training failed
    log_loss: float | None  # nats, after temperature scaling; None where the training failed
    seconds: float  # of the fit
    error: str  # why the training failed, or empty


def run_round(
    prepared: Path,
    folder: Path,
    network: str,
    candidates: Sequence[Candidate],
    epochs: int,
    seeds: Sequence[int],
    n_jobs: int = 1,
) -> list[Trial]:
    """Train each candidate and judge it on the validation images; what was done is read again.

    Parameters
    ----------
    prepared : Path
        What `prepare_dataset` made. Its test images are not touched.
    folder : Path
        Each finished training leaves a file in it, at once.
    network : str
    candidates : sequence of Candidate
    epochs : int
    seeds : sequence of int
        Each candidate is trained with each.
    n_jobs : int
        Trainings at the same time, each in a process of its own.

    Returns
    -------
    list of Trial
        In the order of candidates and seeds.
    """
    asked = [(candidate, seed) for candidate in candidates for seed in seeds]
    data = open_prepared(prepared)
    paths = [
        folder / f"{_key(data, network, candidate, epochs, seed)}.json" for candidate, seed in asked
    ]
    trials = [
        _read_trial(path, candidate) for path, (candidate, _) in zip(paths, asked, strict=True)
    ]
    tasks = [
        delayed(run_trial)(prepared, path, network, candidate, epochs, seed)
        for path, (candidate, seed), trial in zip(paths, asked, trials, strict=True)
        if trial is None
    ]
    fresh = Parallel(n_jobs, return_as="generator")(tasks)
    hidden = None if tasks else True  # None: shown on a terminal only
    with tqdm(fresh, "trials", len(tasks), leave=False, disable=hidden, unit="trial") as done:
        results = iter(list(done))
    return [next(results) if trial is None else trial for trial in trials]


def run_trial(
    prepared: Path, path: Path, network: str, candidate: Candidate, epochs: int, seed: int
) -> Trial:
    """Train a candidate once, judge it on the validation images, and store the result."""
    data = open_prepared(prepared)
    classifier = _classifier_of(network, candidate, epochs, seed)
    images, labels = data.load("validation")
    accuracy, log_loss, error = 0.0, None, ""
    started = time.perf_counter()
    try:
        writers = data.load_writers() if classifier.recipe().early_stopping else None
        classifier.fit(*data.load("train"), groups=writers)
    except TrainingError as failure:
        error = str(failure)
    seconds = time.perf_counter() - started
    if not error:
        probabilities = classifier.predict_proba(images)
        calibrated = apply_temperature(probabilities, fit_temperature(labels, probabilities))
        metrics = compute_metrics(labels, calibrated, data.facts["class_names"])
        accuracy, log_loss = metrics["accuracy"], metrics["log_loss"]
    trial = Trial(candidate.name, epochs, seed, accuracy, log_loss, round(seconds, 2), error)
    facts = asdict(trial) | {"network": network, "parameters": candidate.parameters}
    write_text(path, json.dumps(facts, indent=1) + "\n")
    return trial


def search_key(prepared: Path, network: str, recipe: Candidate, epochs: int, seed: int) -> str:
    """Return a digest, 8 hexadecimal digits, of what decides the trials of a search.

    Data, recipe and seed do, for the candidates are drawn from them. How many there are is left
    out: a larger search goes on from a smaller one.
    """
    return _key(open_prepared(prepared), network, recipe, epochs, seed)[:8]


def _classifier_of(network: str, candidate: Candidate, epochs: int, seed: int) -> Estimator:
    parameters = arguments_of(candidate.parameters)
    return make_classifier(network, **parameters, epochs=epochs, random_state=seed)


def _key(data: PreparedData, network: str, candidate: Candidate, epochs: int, seed: int) -> str:
    """Return a digest, 24 hexadecimal digits, of all that decides what a trial gives."""
    classifier = _classifier_of(network, candidate, epochs, seed)
    # The recipe beside the hyper-parameters: what a candidate leaves to it may change.
    told = [network, vars(classifier.recipe()), classifier.get_params(deep=False)]
    splits = data.facts["splits"]
    digests = [splits["train"]["digest"], splits["validation"]["digest"], data.facts["writers"]]
    facts = [_TRIAL_FORMAT, *told, *digests, data.facts["class_names"]]
    content = json.dumps(facts, sort_keys=True, default=lambda amounts: amounts.get_params())
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def _read_trial(path: Path, candidate: Candidate) -> Trial | None:
    """Return a trial done before; None where there is none, or not a whole one."""
    try:
        facts = json.loads(path.read_text())
        # A candidate's number may have been another one in an earlier search.
        own = {"candidate": candidate.name}
        return Trial(**{name: (facts | own)[name] for name in Trial.__dataclass_fields__})
    except (OSError, ValueError, KeyError, TypeError):
        return None
