import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax
from support import change_manifest

from digitflow import settings
from digitflow.datasets.preparing import PreparedData, open_prepared, prepare_dataset
from digitflow.drawing import draw_digits, draw_outliers
from digitflow.errors import OutputError, UsageError
from digitflow.evaluation.calibration import apply_temperature
from digitflow.learning import checkpoints
from digitflow.learning.checkpoints import Checkpoint, read_progress
from digitflow.learning.descriptions import Estimator
from digitflow.learning.drafts import CHECKPOINT, load_draft, read_draft, update_draft
from digitflow.learning.promotion import compare_draft, weigh
from digitflow.learning.registering import register_draft
from digitflow.learning.reporting import evaluate_draft
from digitflow.learning.training import (
    TrainingOptions,
    check_teachers,
    export_draft,
    fit_draft,
    fitted_before,
    make_estimator,
)
from digitflow.models.bundle import load_bundle
from digitflow.models.judging import familiarity, judge
from digitflow.models.predictor import Predictor
from digitflow.models.registry import current_version

NOTE = "these are stand-ins"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIGITFLOW_PREPARED", str(tmp_path_factory.mktemp("prepared")))
        return prepare_dataset("digits").folder


@pytest.fixture(scope="module")
def draft(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a fitted, exported and evaluated draft; `draft/../report` is its report."""
    draft = tmp_path_factory.mktemp("run") / "draft"
    options = TrainingOptions(epochs=3, batch_size=32)
    fit_draft(prepared, draft, options, NOTE)
    export_draft(prepared, draft)
    update_draft(draft, {"comparison": {"deserves": True, "reason": "it is the first version"}})
    evaluate_draft(prepared, draft, draft.with_name("report"), "a title")
    return draft


def register(prepared: Path, draft: Path, version: str, **options: bool) -> dict:
    destination = settings.models_folder() / "trained" / version
    compare_draft(prepared, draft, "trained")
    return register_draft(prepared, draft, destination, command="a command", **options)


FITTING_SCRIPT = """
import sys
from pathlib import Path
from digitflow.files import sha256_of
from digitflow.learning.training import TrainingOptions, fit_draft

prepared, draft, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
fit_draft(prepared, draft, TrainingOptions(epochs=1, batch_size=64, seed=seed))
print(sha256_of(draft / "weights.safetensors"))
"""


def test_fresh_processes_give_the_same_weights_for_the_same_seed(prepared: Path, tmp_path: Path):
    digests = []
    for place, seed in enumerate([5, 5, 6]):
        arguments = [str(prepared), str(tmp_path / str(place)), str(seed)]
        command = [sys.executable, "-c", FITTING_SCRIPT, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        digests.append(done.stdout.split()[-1])

    assert digests[0] == digests[1] != digests[2]


def test_a_killed_fit_goes_on_and_gives_the_weights_of_an_undisturbed_one(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    options = TrainingOptions("ann", epochs=3, seed=2)
    epochs = []

    class Killed(Checkpoint):
        def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
            super().on_epoch_end(epoch, logs)
            epochs.append(epoch)
            if len(epochs) == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "Checkpoint", Killed)
    with pytest.raises(KeyboardInterrupt):
        fit_draft(prepared, tmp_path / "killed", options)
    before = read_progress(tmp_path / "killed" / CHECKPOINT)

    told = fit_draft(prepared, tmp_path / "killed", options)
    fit_draft(prepared, tmp_path / "undisturbed", options)

    assert before.epochs == 2
    assert epochs[:3] == [0, 1, 2]
    assert told["epochs"] == 3
    assert told["seconds"] >= before.seconds > 0
    assert_same_weights(*(load_draft(tmp_path / name) for name in ("killed", "undisturbed")))
    assert not (tmp_path / "killed" / CHECKPOINT).exists()


def test_a_fit_that_was_done_is_known_by_its_draft(prepared: Path, tmp_path: Path):
    assert fitted_before(tmp_path) is None

    told = fit_draft(prepared, tmp_path, TrainingOptions("ann", epochs=1))

    assert fitted_before(tmp_path) == told


def test_a_draft_that_cannot_be_written_is_told_after_the_first_epoch(
    prepared: Path, tmp_path: Path
):
    (tmp_path / "models").write_text("no folder")

    with pytest.raises(
        OutputError, match=r"models/draft/checkpoint\.npz: cannot be written"
    ) as told:
        fit_draft(prepared, tmp_path / "models" / "draft", TrainingOptions("ann", epochs=10_000))
    assert told.value.exit_code == 6
    assert "\n" not in str(told.value)


def test_weights_that_cannot_be_written_are_told(prepared: Path, tmp_path: Path):
    (tmp_path / "weights.safetensors").mkdir()

    with pytest.raises(OutputError, match=r"weights\.safetensors: is no regular file"):
        fit_draft(prepared, tmp_path, TrainingOptions("ann", epochs=1))


def test_an_empty_draft_is_refused(prepared: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="holds no draft"):
        export_draft(prepared, tmp_path)


def test_a_registered_bundle_tells_how_it_was_made(prepared: Path, draft: Path):
    registration = register(prepared, draft, "1")

    bundle = load_bundle(Path(registration["folder"]))
    manifest = bundle.manifest
    assert registration["model_id"] == bundle.model_id
    assert manifest["command"] == "a command"
    assert manifest["note"] == NOTE
    assert manifest["data"]["name"] == "digits"
    assert manifest["data"]["digest"] == open_prepared(prepared).facts["digest"]
    assert manifest["options"]["epochs"] == 3
    assert manifest["metrics"]["test"]["n"] == 360
    assert manifest["tflite"]["model_float32.tflite"]["changed"] == 0
    assert "tensorflow" in manifest["libraries"]


def test_a_registered_bundle_knows_how_its_validation_images_look(prepared: Path, draft: Path):
    bundle = load_bundle(Path(register(prepared, draft, "known")["folder"]))
    images, _ = open_prepared(prepared).load("validation")
    # As it was measured: a threshold is the value of one image, and TFLite rounds differently.
    estimated = load_draft(draft).predict_proba(images)
    probabilities = apply_temperature(estimated, bundle.temperature)
    familiar = familiarity(probabilities, bundle.temperature)
    judged = zip(probabilities.max(axis=1), familiar, strict=True)

    reference = bundle.manifest["reference"]

    assert reference["status"] == Counter(judge(*each, bundle)[0] for each in judged)
    read = [bundle.class_names[place] for place in probabilities.argmax(axis=1)]
    assert reference["label"] == Counter(read)
    for column in ("confidence", "shape", "ink"):
        assert sum(reference[column].values()) == pytest.approx(len(images), abs=0.1)
    assert 0 <= bundle.uncertain_below <= 1


def test_the_bundle_gives_the_accuracy_of_its_report(prepared: Path, draft: Path):
    folder = Path(register(prepared, draft, "1")["folder"])
    images, labels = open_prepared(prepared).load("test")

    predicted = Predictor(load_bundle(folder)).predict_proba(images).argmax(axis=1)

    metrics = json.loads((draft.with_name("report") / "metrics.json").read_text())
    assert (predicted == labels).mean() == pytest.approx(metrics["accuracy"], abs=0.01)


def test_the_report_shows_the_note(draft: Path):
    assert NOTE in (draft.with_name("report") / "report.html").read_text()


def test_the_first_version_is_promoted_and_an_equal_one_too(prepared: Path, draft: Path):
    first = register(prepared, draft, "1")
    second = register(prepared, draft, "2")

    assert first["outcome"] == "promoted: it is the first version"
    assert second["promoted"]
    assert "not worse" in second["outcome"]
    assert current_version("trained") == "2"


def test_a_worse_version_is_kept_but_not_promoted(prepared: Path, draft: Path, tmp_path: Path):
    register(prepared, draft, "1")
    poor = tmp_path / "poor"
    fit_draft(prepared, poor, TrainingOptions(epochs=1, batch_size=512, learning_rate=1e-6))
    export_draft(prepared, poor)
    compare_draft(prepared, poor, "trained")
    evaluate_draft(prepared, poor, tmp_path / "report", "poor")

    registration = register(prepared, poor, "2")

    assert not registration["promoted"]
    assert registration["outcome"].startswith("not promoted: it is worse")
    assert "digitflow models promote trained@2 makes it current" in registration["outcome"]
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Not to be promoted: it is worse: " in page
    assert "<h2>Beside the current version</h2>" in page
    assert current_version("trained") == "1"
    assert load_bundle(Path(registration["folder"])).version == "2"


def test_a_stand_in_is_never_promoted_over_a_model_of_other_data(prepared: Path, draft: Path):
    destination = settings.models_folder() / "mnist" / "1"
    compare_draft(prepared, draft, "mnist")

    registration = register_draft(prepared, draft, destination, command="a command")

    assert not registration["promoted"]
    assert "was trained on mnist, this one on digits" in registration["outcome"]
    assert current_version("mnist") == "pretrained"


def test_versions_with_other_validation_images_are_not_compared(prepared: Path, draft: Path):
    register(prepared, draft, "1")
    other = prepare_dataset("digits", seed=1).folder

    registration = register(other, draft, "2")

    assert not registration["promoted"]
    assert "other validation images" in registration["outcome"]


def test_what_learned_no_drawn_pictures_never_replaces_what_did(
    prepared: Path, draft: Path, tmp_path: Path
):
    plain, drawn = (shutil.copytree(draft, tmp_path / name) for name in ("plain", "drawn"))
    options = read_draft(draft)["options"]
    update_draft(drawn, {"options": {**options, "drawn_digits": 20, "outliers": 30}})
    register(prepared, plain, "1")

    assert register(prepared, drawn, "2")["promoted"]
    assert register(prepared, drawn, "3")["promoted"]
    registration = register(prepared, plain, "4")
    assert not registration["promoted"]
    assert "learned from drawn pictures as well, so the two" in registration["outcome"]
    assert "digitflow models promote trained@4" in registration["outcome"]
    assert current_version("trained") == "3"


def test_promotion_can_be_left_out(prepared: Path, draft: Path):
    registration = register(prepared, draft, "1", may_promote=False)

    assert registration["outcome"] == "not promoted: promotion was not asked for"
    assert current_version("trained") is None


@pytest.mark.parametrize(
    ("lost", "gained", "worse"),
    [(0, 0, False), (3, 3, False), (4, 0, False), (5, 0, True), (20, 18, False), (40, 18, True)],
)
def test_worse_means_significantly_worse(lost: int, gained: int, worse: bool):
    labels = np.zeros(1000, int)
    old, new = np.full((1000, 2), [1.0, 0.0]), np.full((1000, 2), [1.0, 0.0])
    new[:lost] = [0, 1]
    old[500 : 500 + gained] = [0, 1]

    weighed = weigh(labels, old, new, ["a", "b"], "1")

    assert weighed["deserves"] is not worse
    assert (weighed["lost"], weighed["gained"]) == (lost, gained)
    errors = f"{lost} errors on 1,000 validation images, the current version (1) {gained}"
    assert errors in weighed["reason"]


def test_a_class_read_with_more_doubt_is_worse_though_there_are_no_more_errors():
    labels = np.repeat([0, 1, 2], 200)
    random = np.random.default_rng(0)
    sure = 0.99 - 0.02 * random.random(600)
    doubtful = np.where(labels == 1, sure - 0.1 * random.random(600), sure)
    old, new = (
        np.where(np.eye(3, dtype=bool)[labels], right[:, None], (1 - right[:, None]) / 2)
        for right in (sure, doubtful)
    )

    worse, better = (weigh(labels, *pair, "abc", "1") for pair in ((old, new), (new, old)))

    assert worse["errors"] == [0, 0]
    assert worse["reason"].startswith("it is worse at reading b (p = 0.00015): its probabilities")
    assert not worse["deserves"]
    assert better["deserves"]


def test_a_version_promoted_during_the_run_is_not_replaced(prepared: Path, draft: Path):
    mine = compare_draft(prepared, draft, "trained")
    register(prepared, draft, "1")
    update_draft(draft, {"comparison": mine})

    destination = settings.models_folder() / "trained" / "2"
    registration = register_draft(prepared, draft, destination, command="a command")

    assert not registration["promoted"]
    assert "another version became current during the run" in registration["outcome"]
    assert current_version("trained") == "1"


def damage_model(folder: Path) -> None:
    (folder / "model.tflite").write_bytes(b"damaged")


def name_what_is_gone(folder: Path) -> None:
    (folder.parent / "current").write_text("gone\n")


def spoil_current(folder: Path) -> None:
    (folder.parent / "current").write_bytes(b"\xff\xfe")


@pytest.mark.parametrize("spoil", [damage_model, shutil.rmtree, name_what_is_gone, spoil_current])
def test_a_current_version_that_cannot_be_read_is_not_taken_for_none(
    prepared: Path, draft: Path, spoil: Callable[[Path], None]
):
    folder = Path(register(prepared, draft, "1")["folder"])
    spoil(folder)
    before = (folder.parent / "current").read_bytes()

    registration = register(prepared, draft, "2")

    outcome = registration["outcome"]
    assert outcome.startswith("not promoted: the current version cannot be read (")
    assert "digitflow models verify trained" in outcome
    assert outcome.endswith("digitflow models promote trained@2 makes it current all the same")
    assert (folder.parent / "current").read_bytes() == before
    assert load_bundle(Path(registration["folder"])).version == "2"


def test_what_spoils_the_current_version_during_the_run_is_told_too(prepared: Path, draft: Path):
    folder = Path(register(prepared, draft, "1")["folder"])
    compare_draft(prepared, draft, "trained")
    damage_model(folder)

    destination = settings.models_folder() / "trained" / "2"
    registration = register_draft(prepared, draft, destination, command="a command")

    assert registration["outcome"].startswith("not promoted: it could not be promoted: ")
    assert "trained/1/model.tflite" in registration["outcome"]
    assert current_version("trained") == "1"


def test_a_small_data_set_gets_more_and_smaller_steps():
    large = make_estimator(TrainingOptions(), 54_000)
    small = make_estimator(TrainingOptions(), 1_300)
    told = make_estimator(TrainingOptions(epochs=2, batch_size=64, seed=5), 1_300)

    assert (large.recipe().epochs, large.recipe().batch_size) == (4, 256)
    assert small.epochs * 1_300 // small.batch_size > 600
    assert (told.epochs, told.batch_size, told.random_state) == (2, 64, 5)


def test_the_winner_of_a_search_is_trained_as_it_was_found():
    parameters = {"batch_size": 64, "augmentation": {"shift": 1}, "epochs": 2}

    estimator = make_estimator(TrainingOptions(parameters=parameters), 1_300)

    recipe = estimator.recipe()
    assert (recipe.batch_size, recipe.epochs, recipe.augmentation.shift) == (64, 2, 1)


def test_early_stopping_watches_training_writers_not_those_that_judge(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    data = open_prepared(prepared)
    writers = (np.arange(len(data.load("train")[0])) // 20).astype(np.int32)
    monkeypatch.setattr(PreparedData, "load_writers", lambda self: writers)
    options = TrainingOptions("ann", epochs=2, parameters={"early_stopping": True})

    fit_draft(prepared, tmp_path, options)

    alike = make_estimator(options, 1).fit(*data.load("train"), groups=writers)
    assert_same_weights(load_draft(tmp_path), alike)


def test_drawn_digits_and_outliers_are_learned_as_well(prepared: Path, tmp_path: Path):
    data = open_prepared(prepared)
    options = TrainingOptions("ann", epochs=1, drawn_digits=30, outliers=20, seed=3)

    fit_draft(prepared, tmp_path, options)

    images, labels = data.load("train")
    drawn, digits = draw_digits(30, seed=3)
    alike = make_estimator(options, 1).fit(
        np.concatenate([images, drawn]),
        np.concatenate([labels, digits]),
        outliers=draw_outliers(20, seed=3),
    )
    assert_same_weights(load_draft(tmp_path), alike)
    thresholds = read_draft(tmp_path)["thresholds"]
    assert 0.2 < thresholds["rejected_below"] < 1
    assert thresholds["stated_rejection_rate"] == 0.007


def test_the_error_rate_decides_what_is_uncertain(prepared: Path, tmp_path: Path):
    data = open_prepared(prepared)
    images, labels = data.load("validation")

    for share in (0.01, 0.04):
        fit_draft(prepared, tmp_path, TrainingOptions("ann", epochs=2, error_rate=share))

        facts = read_draft(tmp_path)
        logits = np.log(load_draft(tmp_path).predict_proba(images)) / facts["temperature"]
        sure = softmax(logits, axis=1).max(axis=1) >= facts["thresholds"]["uncertain_below"] - 1e-9
        wrong = logits.argmax(axis=1) != labels
        assert wrong[sure].mean() <= share < wrong.mean()
        assert facts["thresholds"]["stated_error_rate"] == share


def test_drawn_digits_are_of_no_writer(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    data = open_prepared(prepared)
    writers = (np.arange(len(data.load("train")[0])) // 20).astype(np.int32)
    monkeypatch.setattr(PreparedData, "load_writers", lambda self: writers)
    parameters = {"early_stopping": True}

    fit_draft(prepared, tmp_path, TrainingOptions("ann", 1, drawn_digits=9, parameters=parameters))

    assert "val_loss" in read_draft(tmp_path)["history"]


def test_digits_are_not_drawn_for_other_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DIGITFLOW_PREPARED", str(tmp_path))
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (60, 28, 28), np.uint8)
    np.savez(tmp_path / "letters.npz", images=images, labels=np.tile(["a", "b", "c"], 20))
    other = prepare_dataset(str(tmp_path / "letters.npz")).folder

    with pytest.raises(UsageError, match="drawn_digits=5: the classes are a, b, c, not"):
        fit_draft(other, tmp_path / "draft", TrainingOptions(drawn_digits=5))


def assert_same_weights(one: Estimator, other: Estimator) -> None:
    pairs = zip(one.network_.get_weights(), other.network_.get_weights(), strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)


def test_a_teacher_of_the_same_split_is_taken_without_a_word(prepared: Path, draft: Path):
    register(prepared, draft, "1")

    assert check_teachers(prepared, ["trained"]) == []


def test_it_is_said_that_a_teacher_may_know_the_images_held_out(
    prepared: Path, draft: Path, bundle_folder: Path, tmp_path: Path
):
    register(prepared, draft, "1")
    other = prepare_dataset("digits", seed=1).folder
    teachers = ["trained@1", str(bundle_folder)]

    fit_draft(other, tmp_path, TrainingOptions(epochs=1, batch_size=512, teachers=teachers), NOTE)

    note = read_draft(tmp_path)["note"]
    assert note == "; ".join([NOTE, *check_teachers(other, teachers)])
    assert "teacher trained@1 was made with other validation images; it may have lear" in note
    assert "teacher small@1 was trained on unknown data, this one on digits; it may have" in note


def test_a_teacher_of_other_classes_is_refused(prepared: Path, bundle_folder: Path, tmp_path: Path):
    change_manifest(bundle_folder, class_names=list("abcdefghij"))

    with pytest.raises(UsageError, match=r"knows the classes a, b, .*, the data set has 0, 1, "):
        fit_draft(prepared, tmp_path, TrainingOptions(teachers=[str(bundle_folder)]))
