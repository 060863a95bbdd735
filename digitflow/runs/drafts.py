"""The draft of a training: a folder that a killed run leaves, and the same run goes on from.

It lies beside the versions of its model, hidden, and is named after what decides the training: code
and libraries first, then all together (see `repeating`).
"""

import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from digitflow.errors import OutputError
from digitflow.files import as_output_error
from digitflow.locks import locked
from digitflow.runs.repeating import identity_of

_PREFIX = ".draft-"
_LOCK = ".lock"
_KEPT = 30 * 24 * 3600  # seconds without a change after which nobody will go on from a draft


@contextmanager
def working_draft(models: Path, identity: str, fresh: bool = False) -> Iterator[Path]:
    """Give the draft of a training, and what a killed run of the same identity left in it.

    At the end nothing is left. A run that is killed or interrupted, or whose output cannot be
    written, leaves the draft to the next one; what went wrong otherwise would go wrong again.
    Drafts that no run can go on from are removed.

    Parameters
    ----------
    models : Path
        Where the versions of the model are; made if need be.
    identity : str
        Of the run, by `identity_of`.
    fresh : bool
        Begin with an empty draft.

    Yields
    ------
    Path
        A folder, which need not exist.

    Raises
    ------
    OutputError
        If the folder of models cannot be written to.
    """
    code = identity_of({})[:8]
    with ExitStack() as held:
        with as_output_error(models):
            models.mkdir(parents=True, exist_ok=True)
            _remove_stale(models, code)
            draft = models / f"{_PREFIX}{code}-{identity[:16]}"
            try:
                held.enter_context(locked(_lock_of(draft)))
            except BlockingIOError:  # the same training is at work: this one begins on its own
                draft = draft.with_name(f"{draft.name}-{secrets.token_hex(4)}")
                held.enter_context(locked(_lock_of(draft)))
        if fresh:
            _remove(draft)
        try:
            yield draft
        except Exception as error:
            if not isinstance(error, OutputError):
                _remove(draft)
            raise
        _remove(draft)


def _remove_stale(models: Path, code: str) -> None:
    """Remove the drafts of other code, of long ago, or that the next run would not find."""
    for entry in models.glob(f"{_PREFIX}*"):
        draft = entry.with_name(entry.name.removesuffix(_LOCK))
        with suppress(OSError):  # it is being worked on, or went
            if not _can_go_on(draft, code):
                with locked(_lock_of(draft)):
                    _remove(draft)


def _can_go_on(draft: Path, code: str) -> bool:
    is_ours = re.fullmatch(f"{re.escape(_PREFIX)}{code}-[0-9a-f]{{16}}", draft.name)
    return bool(is_ours) and draft.exists() and time.time() - draft.stat().st_mtime < _KEPT


def _lock_of(draft: Path) -> Path:
    return draft.with_name(f"{draft.name}{_LOCK}")


def _remove(draft: Path) -> None:
    shutil.rmtree(draft, ignore_errors=True)
