"""A run that was done before with the same input, and need not be done again."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from digitflow.errors import DigitflowError
from digitflow.models.bundle import load_bundle
from digitflow.models.registry import find_model
from digitflow.provenance import code_digest, library_versions
from digitflow.runs.records import COMPLETED, RunRecord, list_runs


def identity_of(given: Mapping[str, Any]) -> str:
    """Return a digest of all that decides what a run gives, 64 hexadecimal digits.

    Parameters
    ----------
    given : mapping
        Digests of the data and options, as JSON can hold them. The versions of code and libraries
        are added: digitflow's own code by its content, since no commit names what is not committed.
    """
    decisive = [given, code_digest(), library_versions()]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def find_done(identity: str) -> RunRecord | None:
    """Return the latest completed run of an identity whose model is still there and whole."""
    for record in list_runs().records:
        if record.state == COMPLETED and record.facts.get("identity") == identity:
            model = record.facts["model"]
            try:
                bundle = load_bundle(find_model(str(model.get("model"))))
            except DigitflowError:
                continue
            if bundle.model_id == model.get("model_id"):
                return record
    return None
