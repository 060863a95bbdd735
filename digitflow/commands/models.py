"""`digitflow models`: the versions of models, what they are, whether they are whole."""

import argparse
import json


def add_models(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its actions to the parser."""
    models = commands.add_parser("models", help="list, show, verify, promote or roll back models")
    actions = models.add_subparsers(metavar="action", required=True)
    listing = actions.add_parser("list", help="every version of every model; * marks the current")
    listing.set_defaults(run=_list_models)
    for name, run, what in [
        ("show", _show_model, "print a model's manifest"),
        ("verify", _verify_model, "check a model's files and replay its golden predictions"),
        ("promote", _promote_model, "make a version the current one of its model"),
    ]:
        action = actions.add_parser(name, help=what)
        action.add_argument("model", help="name, name@version or a bundle's folder")
        action.set_defaults(run=run)
    for name, run, what in [
        ("rollback", _roll_back_model, "make the version current that was so before"),
        ("history", _show_history, "which version was made current when, and why"),
    ]:
        action = actions.add_parser(name, help=what)
        action.add_argument("name", help="the model's name")
        action.set_defaults(run=run)


def _list_models(options: argparse.Namespace) -> int:
    from digitflow.models.registry import list_models

    for model in list_models():
        mark = "*" if model.is_current else " "
        print(f"{mark} {model.name}@{model.version}  {model.folder}")
    return 0


def _show_model(options: argparse.Namespace) -> int:
    from digitflow.models.bundle import load_bundle
    from digitflow.models.registry import find_model

    bundle = load_bundle(find_model(options.model))
    # Last, so that no entry of the manifest takes its place.
    print(json.dumps({**bundle.manifest, "model_id": bundle.model_id}, indent=2))
    return 0


def _verify_model(options: argparse.Namespace) -> int:
    from digitflow.models.bundle import TFLITE_FILES, load_bundle
    from digitflow.models.predictor import Predictor
    from digitflow.models.registry import find_model

    bundle = load_bundle(find_model(options.model))
    for kind in TFLITE_FILES:
        Predictor(bundle, tflite=kind)  # replays the golden predictions
    print(f"{bundle.name}@{bundle.version}: whole; files, digests and golden predictions are right")
    return 0


def _promote_model(options: argparse.Namespace) -> int:
    from digitflow.models.predictor import Predictor
    from digitflow.models.promotions import promote

    bundle = Predictor.load(options.model).bundle
    promote(bundle, "promoted by hand")
    print(f"{bundle.name}@{bundle.version} is the current version of {bundle.name} now")
    return 0


def _roll_back_model(options: argparse.Namespace) -> int:
    from digitflow.models.promotions import roll_back
    from digitflow.models.registry import current_version

    before = current_version(options.name)
    bundle = roll_back(options.name)
    print(f"{bundle.name}@{bundle.version} is current again, in place of {before}, which is kept")
    return 0


def _show_history(options: argparse.Namespace) -> int:
    from digitflow.models.promotions import read_promotions
    from digitflow.models.registry import find_model

    find_model(options.name)
    history = read_promotions(options.name)
    for each in history:
        place = f" in place of {each.replaced}" if each.replaced else ""
        print(f"{each.at}  {each.version}{place}: {each.reason}")
    if not history:
        print(f"no version of {options.name} was promoted yet")
    return 0
