"""Every command and every Python block of README and docs/ is run, or listed with a reason."""

import re
from collections.abc import Callable
from pathlib import Path

import documented_commands as listed
import pytest
from documents import (
    PAGES,
    SHELL,
    Block,
    blocks_of,
    check_shown,
    environment_of,
    run_commands,
    run_python,
)

_SERVER = "http://127.0.0.1:8000"

# The blocks say MNIST; with fewer of its images they take seconds.
_FEWER_IMAGES = """
import dataclasses
from digitflow.datasets import loading

def _fewer(name="auto", split="train", load=loading.load_dataset):
    data = load(name, split)
    if name != "mnist":
        return data
    writers = None if data.writers is None else data.writers[:2500]
    return dataclasses.replace(
        data, images=data.images[:2500], labels=data.labels[:2500], writers=writers
    )

loading.load_dataset = _fewer
"""


def runnable(page: str, languages: set[str]) -> list[Block]:
    return [block for block in blocks_of(page) if block.language in languages]


def takes_long(page: str) -> bool:
    """Tell whether a page starts flows or trains, each of which takes many seconds."""
    lines = [line for _, lines in stories(page) for line in lines]
    return any(line.startswith("python flows/") for line in lines)


def stories(page: str) -> list[tuple[Block, list[str]]]:
    """Return the shell blocks of a page, each with what of it is run."""
    return [
        (
            block,
            [
                listed.INSTEAD.get(command, (command,))[0]
                for command in block.commands
                if command not in listed.NOT_RUN
            ],
        )
        for block in runnable(page, SHELL)
    ]


def is_trained_on_mnist(block: Block) -> bool:
    return '"mnist"' in block.text or "fit(" in block.text


def pages_with(languages: set[str], is_long: Callable[[str], bool]) -> list[object]:
    """Return the pages that are followed here, those that take long marked so."""
    return [
        pytest.param(page, marks=[pytest.mark.long] * is_long(page), id=page)
        for page in PAGES
        if page not in listed.ELSEWHERE and runnable(page, languages)
    ]


def test_every_list_is_of_what_the_pages_show():
    blocks = [block for page in PAGES for block in blocks_of(page)]
    commands = {command for block in blocks for command in block.commands}
    first_lines = {block.text.splitlines()[0] for block in blocks if block.language == "python"}

    assert len(commands) > 60
    assert {*listed.NOT_RUN, *listed.INSTEAD} - commands == set()
    assert {*listed.PYTHON_NOT_RUN} - first_lines == set()
    assert {*listed.ELSEWHERE} - {*PAGES} == set()
    assert not {*listed.NOT_RUN} & {*listed.INSTEAD}
    reasons = [*listed.NOT_RUN.values(), *listed.PYTHON_NOT_RUN.values()]
    assert all([*reasons, *listed.ELSEWHERE.values(), *(why for _, why in listed.INSTEAD.values())])


def test_what_is_named_in_a_reason_is_there(repository: Path):
    source = (repository / "tests" / "documented_commands.py").read_text()
    named = {*re.findall(r"(?:tests|\.ci)/[\w/]+(?:\.py)?", source)}

    assert len(named) > 5
    assert [name for name in named if not (repository / name).exists()] == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", pages_with(SHELL, takes_long))
def test_the_commands_of_a_page_do_what_it_says(
    page: str, desk: Path, prefect_home: Path, request: pytest.FixtureRequest
):
    environment = environment_of(desk) | {"PREFECT_HOME": str(prefect_home)}
    told = stories(page)
    if any("s3://" in line for _, lines in told for line in lines):
        environment |= request.getfixturevalue("bucket")
    if any(_SERVER in line for _, lines in told for line in lines):
        url = request.getfixturevalue("address")
        fail = "curl --silent --show-error --fail"
        told = [
            (block, [line.replace(_SERVER, url).replace("curl", fail) for line in lines])
            for block, lines in told
        ]

    printed = run_commands([lines for _, lines in told], desk, environment)

    for (block, lines), text in zip(told, printed, strict=True):
        check_shown(text, block.shown if lines else None)


@pytest.mark.parametrize(
    "page",
    pages_with({"python"}, lambda page: any(map(is_trained_on_mnist, blocks_of(page)))),
)
def test_the_python_of_a_page_runs(page: str, desk: Path, request: pytest.FixtureRequest):
    blocks = [
        block
        for block in runnable(page, {"python"})
        if block.text.splitlines()[0] not in listed.PYTHON_NOT_RUN
    ]
    environment = environment_of(desk)
    prelude = ""
    if any(map(is_trained_on_mnist, blocks)):
        environment["DIGITFLOW_DATA"] = str(request.getfixturevalue("shared_data"))
        prelude = _FEWER_IMAGES
    texts = [block.text for block in blocks]
    if any(_SERVER in text for text in texts):
        url = request.getfixturevalue("address")
        texts = [text.replace(_SERVER, url) for text in texts]

    printed = run_python(texts, desk, environment, prelude)

    for block, text in zip(blocks, printed, strict=True):
        check_shown(text, block.shown)


def test_what_a_page_shows_is_compared():
    shown = "files    7\nspeed …/s\n…\ndone\n"

    check_shown("files  7\nspeed 12 images/s\na\nerror 1\ndone\n", shown)
    for printed in ("files 8\nspeed 1/s\ndone\n", "files 7\nspeed 1/s\ndone\nand more\n"):
        with pytest.raises(AssertionError, match="printed:"):
            check_shown(printed, shown)
    with pytest.raises(AssertionError, match="UserWarning"):
        check_shown("UserWarning: what now\n", "…\n")
