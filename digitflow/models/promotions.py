"""The history of which version of a model was current when, and the way back.

`models/<name>/promotions.json` is a list, the oldest first; nothing is ever taken from it. It is
written before `current`: a process killed between the two has promoted nothing, and what it noted
is passed over.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from digitflow import settings
from digitflow.errors import UnknownModelError
from digitflow.files import as_output_error, write_text
from digitflow.locks import locked
from digitflow.models.bundle import CURRENT, PROMOTIONS, Bundle, load_bundle
from digitflow.models.guarded_files import read_regular_file
from digitflow.models.predictor import Predictor
from digitflow.models.registry import current_version, find_model, find_versions

_LIMIT = 16 << 20  # bytes of a history
_LOCK = ".promotions.lock"


@dataclass(frozen=True)
class Promotion:
    """A version became current."""

    version: str
    model_id: str  # of the version's bundle
    replaced: str | None  # the version that was current before
    at: str  # when, UTC, ISO 8601
    reason: str  # in words
    rollback: bool  # whether it was a return to a former version


def promote(bundle: Bundle, reason: str) -> None:
    """Make a bundle's version the current one of its name, and keep that in the history.

    Parameters
    ----------
    bundle : Bundle
    reason : str
        Why, in words.

    Raises
    ------
    UnknownModelError
        If the bundle is not the one that the registry has under its name and version, or the
        history cannot be read.
    UsageError
        If the models folder cannot be read.
    OutputError
        If history or `models/<name>/current` cannot be written.
    """
    _check_registered(bundle)
    with _promoting(bundle.name):
        _make_current(bundle, reason, rollback=False)


def promote_over(bundle: Bundle, reason: str, compared: str | None) -> bool:
    """Promote a bundle if the current version is still the one that it was compared with.

    Parameters
    ----------
    bundle : Bundle
    reason : str
        Why, in words.
    compared : str or None
        The `model_id` of the version that was current then; None if none was.

    Returns
    -------
    bool
        Whether it is current now.

    Raises
    ------
    UnknownModelError, BundleError
        If the current version cannot be read; also as `promote` does.
    UsageError, OutputError
        As `promote` does.
    """
    _check_registered(bundle)
    with _promoting(bundle.name):
        if _current_id(bundle.name) != compared:
            return False
        _make_current(bundle, reason, rollback=False)
        return True


def _check_registered(bundle: Bundle) -> None:
    registered = find_versions().get((bundle.name, bundle.version))
    if registered is None or registered.resolve() != bundle.folder.resolve():
        place = settings.models_folder() / bundle.name / bundle.version
        raise UnknownModelError(
            f"{bundle.folder}: is not {bundle.name}@{bundle.version} of the registry; "
            f"put it into {place} first"
        )


def _current_id(name: str) -> str | None:
    """Return the `model_id` of the current version, None where none is."""
    return None if current_version(name) is None else load_bundle(find_model(name)).model_id


def roll_back(name: str) -> Bundle:
    """Make the version current again that was so before, and return its bundle.

    Versions whose bundle is gone are passed over; one that is damaged is refused, so that scoring
    goes on with what works.

    Parameters
    ----------
    name : str
        Of the model, without a version.

    Raises
    ------
    UnknownModelError
        If there is no such model, nothing was current before, or the history cannot be read.
    BundleError
        If the former version is damaged.
    OutputError
        If history or `models/<name>/current` cannot be written.
    """
    if "@" in name or "/" in name:
        raise UnknownModelError(f"{name}: give the model's name alone, without version or folder")
    find_model(name)  # says what is wrong with the name
    known = {version for model, version in find_versions() if model == name}
    former = _former_version(read_promotions(name), current_version(name), known)
    if former is None:
        raise UnknownModelError(
            f"model {name!r}: no version was current before {current_version(name)}; digitflow "
            f"models promote {name}@VERSION chooses another"
        )
    bundle = Predictor.load(f"{name}@{former}").bundle
    with _promoting(name):
        _make_current(bundle, f"rolled back from {current_version(name)}", rollback=True)
    return bundle


def read_promotions(name: str) -> list[Promotion]:
    """Return the history of a model, the oldest promotion first.

    Raises
    ------
    UnknownModelError
        If it cannot be read.
    """
    path = _folder_of(name) / PROMOTIONS
    try:
        entries = json.loads(b"".join(read_regular_file(path, _LIMIT)))
        return [_promotion(entry) for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError, TypeError, RecursionError) as error:
        why = getattr(error, "strerror", None) or str(error)[:100]
        raise UnknownModelError(
            f"{path}: cannot be read ({why}); move it away, and the history begins anew"
        ) from error


def _promotion(entry: dict[str, Any]) -> Promotion:
    """Return an entry of the history, a ValueError where it is none."""
    promotion = Promotion(**entry)
    texts = {**entry, "replaced": promotion.replaced or "", "rollback": ""}
    if not all(isinstance(value, str) for value in texts.values()):
        raise ValueError("an entry is not what it should be")
    return promotion


@contextmanager
def _promoting(name: str) -> Iterator[None]:
    """Hold the lock under which one process at a time changes what is current."""
    folder = _folder_of(name)
    with ExitStack() as held:
        with as_output_error(folder):
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked(folder / _LOCK, wait=True))
        yield


def _make_current(bundle: Bundle, reason: str, rollback: bool) -> None:
    """Note a promotion and bring it about; the lock is held."""
    folder = _folder_of(bundle.name)
    before = _readable_current(bundle.name)
    if before == bundle.version and (folder / CURRENT).exists():
        return
    now = datetime.now(UTC).isoformat(timespec="seconds")
    new = Promotion(bundle.version, bundle.model_id, before, now, reason, rollback)
    history = [asdict(each) for each in [*read_promotions(bundle.name), new]]
    write_text(folder / PROMOTIONS, json.dumps(history, indent=1) + "\n")
    write_text(folder / CURRENT, f"{bundle.version}\n")


def _readable_current(name: str) -> str | None:
    with suppress(UnknownModelError):  # a damaged `current` is mended
        return current_version(name)
    return None


def _former_version(
    history: Sequence[Promotion], current: str | None, known: set[str]
) -> str | None:
    """Return which version was current before the current one, of those that are still there.

    A return to a former version takes back what came after it, so that rolling back twice goes
    two versions back.
    """
    order: list[str] = []  # the versions one above the other, each the one before's successor
    for each in history:
        if each.replaced is not None and each.replaced not in order[-1:]:
            # `current` was written by hand, or the promotion noted last never came about.
            order = _up_to(each.replaced, order)
        order = _up_to(each.version, order) if each.rollback else [*order, each.version]
    below = _up_to(current, order)[:-1] if current else order
    return next((each for each in reversed(below) if each in known and each != current), None)


def _up_to(version: str, order: list[str]) -> list[str]:
    """Return an order of versions up to the last place of one, which is added if it has none."""
    while order and version in order and order[-1] != version:
        order = order[:-1]
    return order if version in order else [*order, version]


def _folder_of(name: str) -> Path:
    return settings.models_folder() / name
