"""Whether a new model may take the current one's place: both on the same held-out images."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from digitflow.datasets.preparing import PreparedData, find_difference, open_prepared
from digitflow.errors import BundleError, UnknownModelError
from digitflow.evaluation.class_comparison import compare_classes
from digitflow.evaluation.comparison import compare_predictions
from digitflow.learning.contradictions import ContradictedClass, find_contradicted
from digitflow.learning.drafts import read_draft, update_draft
from digitflow.models.bundle import TFLITE_FILES, Bundle
from digitflow.models.predictor import Predictor
from digitflow.models.registry import current_version
from digitflow.models.tflite import TFLiteNetwork, softmax

#: A new model is worse if, were it as good, so many more errors had less than this probability.
OVERALL_LEVEL = 0.05

#: The same of any one class, for all classes together. Stricter, because two trainings that
#: differ in the seed alone do differ a little, and of ten classes one always comes off worst: of
#: twelve such pairs four were below 0.05, one below 0.01 and none below this (docs/runs.md).
CLASS_LEVEL = 0.005


def compare_draft(prepared: Path, draft: Path, name: str) -> dict[str, Any]:
    """Compare a draft with the current version of its name on the validation images.

    The draft is read by the TFLite file that would be used, and keeps what is found.

    Parameters
    ----------
    prepared : Path
        What `prepare_dataset` made.
    draft : Path
        Fitted and exported.
    name : str
        Of the model.

    Returns
    -------
    dict
        `deserves` to be current, the `reason` in a sentence, the `current` version and its
        `model_id`, None where there is none or it cannot be read; where the two were compared also
        `n` images, both numbers of `errors`, how many images are `lost` and `gained`, `p_worse`,
        `classes`, as `compare_classes` gives them, and `contradicted`, as `find_contradicted` does.
    """
    data = open_prepared(prepared)
    facts = _compare(data, draft, name)
    update_draft(draft, {"comparison": facts})
    return facts


def weigh(
    labels: np.ndarray, old: np.ndarray, new: np.ndarray, class_names: Sequence[str], version: str
) -> dict[str, Any]:
    """Return whether a new model is worse than the current one on the same images, and why.

    Over all images errors decide, by the exact one-sided form of McNemar's test, for which only
    images count that one reads rightly and the other wrongly (McNemar 1947; Dietterich 1998). Of
    each class the probabilities decide: see `compare_classes`.

    Parameters
    ----------
    labels : ndarray of shape (n,), int
    old, new : ndarray of shape (n, k), float
        Calibrated probabilities.
    class_names : sequence of k str
    version : str
        The current version, for the words.

    Returns
    -------
    dict
        As of `compare_draft`, but for `current` and `model_id`.
    """
    answers = (old.argmax(axis=1), new.argmax(axis=1))
    all_images = compare_predictions(labels, *answers)
    classes = compare_classes(labels, old, new, class_names)
    errors = [int((each != labels).sum()) for each in answers]
    counts = (
        f"{errors[1]} errors on {len(labels):,} validation images, the current version "
        f"({version}) {errors[0]}"
    )
    worse = [each for each in classes if each.p_worse < CLASS_LEVEL]
    if all_images.p_worse < OVERALL_LEVEL:
        reason = f"it is worse: {counts}; by chance alone p = {all_images.p_worse:.2g}"
    elif worse:
        named = ", ".join(f"{each.name} (p = {each.p_worse:.2g})" for each in worse)
        reason = f"it is worse at reading {named}: its probabilities are further off; {counts}"
    else:
        reason = f"it is not worse: {counts}; nor is it worse at any class"
    return {
        "deserves": reason.startswith("it is not worse"),
        "reason": reason,
        "n": len(labels),
        "errors": errors,
        "lost": all_images.lost,
        "gained": all_images.gained,
        "p_worse": all_images.p_worse,
        "classes": [asdict(each) for each in classes],
    }


def _compare(data: PreparedData, draft: Path, name: str) -> dict[str, Any]:
    facts = read_draft(draft)
    nothing = {"current": None, "model_id": None}
    try:
        if current_version(name) is None:
            return {"deserves": True, "reason": "it is the first version", **nothing}
        current = Predictor.load(name)
    except (UnknownModelError, BundleError) as error:
        reason = (
            f"the current version cannot be read ({error}), so nothing is known of it; "
            f"digitflow models verify {name} checks it again"
        )
        return {"deserves": False, "reason": reason, **nothing}
    known = {"current": current.bundle.version, "model_id": current.bundle.model_id}
    if difference := _find_difference(current.bundle, data, facts["options"]):
        return {
            "deserves": False,
            "reason": f"{difference}, so the two cannot be compared",
            **known,
        }
    images, labels = data.load("validation")
    old, new = current.predict_proba(images), _probabilities(draft, facts, data, images)
    names, version = current.bundle.class_names, current.bundle.version
    weighed = weigh(labels, old, new, names, version)
    contradicted = _contradicted(data, current, (labels, old.argmax(axis=1)))
    if contradicted and weighed["deserves"]:
        reason = _of_contradicted(contradicted, version)
        weighed |= {"deserves": False, "reason": reason}
    return {**known, **weighed, "contradicted": [asdict(each) for each in contradicted]}


def _contradicted(
    data: PreparedData, current: Predictor, held_out: tuple[np.ndarray, np.ndarray]
) -> list[ContradictedClass]:
    """Find the classes whose training labels the current version contradicts."""
    images, labels = data.load("train")
    # What people corrected is what it misread; it comes last.
    n_own = len(labels) - data.facts["corrections"]
    read = current.predict_proba(images[:n_own]).argmax(axis=1)
    return find_contradicted((labels[:n_own], read), held_out, current.bundle.class_names)


def _of_contradicted(contradicted: Sequence[ContradictedClass], version: str) -> str:
    classes = "; ".join(each.in_words() for each in contradicted)
    return (
        f"the current version ({version}) contradicts the labels that it learned: {classes}. Look "
        "at them; if they are right, promote it by hand"
    )


def _probabilities(
    draft: Path, facts: dict[str, Any], data: PreparedData, images: np.ndarray
) -> np.ndarray:
    """Return the calibrated probabilities that a draft gives as a bundle."""
    content = (draft / TFLITE_FILES["dynamic"]).read_bytes()
    network = TFLiteNetwork(content, len(data.facts["class_names"]))
    return softmax(network.logits(images) / np.float32(facts["temperature"]))


def _find_difference(current: Bundle, data: PreparedData, options: dict[str, Any]) -> str | None:
    """Return in what the data of two versions differ, if a comparison would not be fair."""
    if list(current.class_names) != data.facts["class_names"]:
        return "its classes are not those of the current version"
    difference = find_difference(current.manifest.get("data", {}), data.facts)
    if difference:
        return f"the current version was {difference}"
    known = current.manifest.get("options", {})
    if any(known.get(drawn, 0) and not options[drawn] for drawn in ("drawn_digits", "outliers")):
        # What these are for, the validation images do not show.
        return "the current version learned from drawn pictures as well"
    return None
