"""The Dockerfile: linted, and held to what docs/containers.md promises of both images."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from dockerfile import Stage, files_sent, is_sent, lineage, read_stages, words_of
from test_house import imports_of

#: What scoring and serving import, but can do without: a step of scikit-learn pipelines, and a
#: cluster. Both say so where they are missing.
_OPTIONAL = {"sklearn", "distributed"}
_IMPORTED_AS = {"pillow": "PIL"}
_NOT_IMPORTED = {"python_multipart"}  # by Starlette only


def requirements(repository: Path) -> list[str]:
    lines = (repository / "requirements-light.txt").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


@pytest.fixture(scope="module")
def stages(repository: Path) -> dict[str, Stage]:
    return read_stages(repository / "Dockerfile")


def test_the_linter_finds_nothing(repository: Path, tool: Callable[[str], str]):
    done = subprocess.run(
        [tool("hadolint"), "--failure-threshold", "style", "Dockerfile"],
        cwd=repository,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_base_is_pinned_by_a_tag_and_named_without_a_registry(stages: dict[str, Stage]):
    outside = {stage.parent for stage in stages.values()} - set(stages)

    assert outside == {"python:3.11-slim-bookworm"}


@pytest.mark.parametrize("target", ["light", "full"])
def test_an_image_is_run_by_nobody_in_particular(stages: dict[str, Stage], target: str):
    stage = stages[target]

    assert stage.last("USER") == "10001:10001"
    assert words_of(stage.last("CMD"))  # in exec form: signals reach it
    assert stage.last("STOPSIGNAL") == "SIGTERM"
    instructions = [name for each in lineage(stages, target) for name, _ in each.steps]
    assert "ENTRYPOINT" not in instructions  # commands are those of the README
    copied = [rest for name, rest in stage.steps if name == "COPY"]
    assert copied[0].startswith(f"--from={target}-environment ")


def test_nothing_is_compiled_and_versions_are_those_that_were_tested(stages: dict[str, Stage]):
    installed = [
        command
        for stage in stages.values()
        for name, rest in stage.steps
        if name == "RUN"
        for command in rest.split(" && ")
        if " install " in f"{command} " and "pip" in command
    ]

    assert len(installed) == 3
    for command in installed:
        assert "--no-deps" in command or (
            "--only-binary :all:" in command and "-c /source/constraints.txt" in command
        )


def test_the_light_list_is_what_scoring_and_serving_import(repository: Path):
    names = {name.replace("-", "_") for name in requirements(repository)}
    listed = {_IMPORTED_AS.get(name, name) for name in names - _NOT_IMPORTED}
    imported = {
        name.partition(".")[0]
        for room in ("images", "models", "scoring", "web")
        for file in (repository / "digitflow" / room).rglob("*.py")
        for name in imports_of(file)
    }

    assert imported - sys.stdlib_module_names - {"digitflow", ""} - _OPTIONAL == listed


def test_the_light_list_is_part_of_what_digitflow_declares(repository: Path):
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[<>=]", line)[0] for line in project["dependencies"]}
    pinned = {
        re.sub("[_.]", "-", line.partition("==")[0]).lower()
        for line in (repository / "constraints.txt").read_text().splitlines()
    }

    assert set(requirements(repository)) <= declared
    assert set(requirements(repository)) <= pinned


def test_only_what_the_images_are_made_of_is_sent_to_the_engine(repository: Path):
    sent = {str(file) for file in files_sent(repository)}

    assert {file.partition("/")[0] for file in sent} == {
        *("LICENSE", "README.md", "constraints.txt", "digitflow", "flows", "models"),
        *("prefect.yaml", "pyproject.toml", "requirements-light.txt"),
    }
    assert {file for file in sent if file.startswith("models/")} == {
        str(file.relative_to(repository))
        for file in (repository / "models/mnist/pretrained").iterdir()
    }


@pytest.mark.parametrize(
    ("file", "sent"),
    [
        (".env", False),
        (".git/config", False),
        ("data/mnist/train-images-idx3-ubyte.gz", False),
        ("reports/20260101/run.json", False),
        ("models/mnist/v2/manifest.json", False),
        ("digitflow/web/__pycache__/api.cpython-311.pyc", False),
        ("models/mnist/pretrained/manifest.json", True),
        ("digitflow/web/page/examples/seven.png", True),
    ],
)
def test_data_and_secrets_stay_out_of_the_images(repository: Path, file: str, sent: bool):
    lines = (repository / ".dockerignore").read_text().splitlines()
    patterns = [line.rstrip("/") for line in lines if line and not line.startswith("#")]

    assert is_sent(Path(file), patterns) == sent
