"""README and the pages of docs/: their commands, run in order, and what they say is printed."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = {
    str(path.relative_to(REPOSITORY)): path
    for path in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
}

SHELL = {"sh", "bash", "console"}

# What no console of a newcomer may show, whatever the page shows.
_ALARMS = re.compile(r"Traceback|\bWARNING\b|Warning:|\bERROR\b")
_BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$\n?", re.MULTILINE | re.DOTALL)
_MARK = "=====|"


@dataclass(frozen=True)
class Block:
    """A block of commands or of Python, and what the page says that it prints."""

    language: str
    text: str
    shown: str | None  # the ```text block below it; None where there is none

    @property
    def commands(self) -> list[str]:
        """The lines of a shell block, without comments and prompts."""
        text = self.text.replace("\\\n", " ")
        lines = (re.split(r"(?:^|\s)#\s", line)[0].strip() for line in text.splitlines())
        return [line.removeprefix("$ ") for line in lines if line]


def blocks_of(page: str) -> list[Block]:
    """Return the blocks of a page that can be run."""
    text = PAGES[page].read_text()
    found = list(_BLOCK.finditer(text))
    blocks = []
    for block, after in zip(found, [*found, None][1:], strict=True):
        follows = after and after[1] == "text" and not text[block.end() : after.start()].strip()
        if block[1] in SHELL | {"python"}:
            blocks.append(Block(block[1], block[2], after[2] if after and follows else None))
    return blocks


def environment_of(desk: Path) -> dict[str, str]:
    """Return what the commands need: this environment's programs, and no folder of anyone else."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **os.environ,
        "PATH": programs,
        "PYTHONPATH": str(REPOSITORY),
        "DIGITFLOW_MODELS": str(desk / "models"),
        "DIGITFLOW_REPORTS": str(desk / "reports"),
        "DIGITFLOW_PREPARED": str(desk / "prepared"),
        "MPLBACKEND": "agg",
    }


def run_commands(
    blocks: Sequence[Sequence[str]], folder: Path, environment: Mapping[str, str]
) -> list[str]:
    """Run the lines of all blocks in one shell, and return what each block printed.

    Ends with an AssertionError, which has all output, where a line does not end with 0.
    """
    lines = ["set -e"]
    for number, commands in enumerate(blocks):
        lines += [f"echo '{_MARK}{number}'", *commands]
    console = folder / ".console"
    with (
        console.open("w") as output,
        subprocess.Popen(
            ["bash", "-c", "\n".join(lines)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as shell,
    ):
        try:
            shell.wait()
        finally:
            # A page that stopped half-way has left its servers running.
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
    printed = console.read_text()
    assert shell.returncode == 0, f"{printed}\nexit code {shell.returncode}"
    return [part.partition("\n")[2] for part in printed.split(_MARK)[1:]]


def run_python(
    blocks: Sequence[str], folder: Path, environment: Mapping[str, str], prelude: str = ""
) -> list[str]:
    """Run Python blocks one after the other, and return what each printed, on stderr too."""
    parts = [prelude, *(f"print({_MARK!r}, flush=True)\n{block}" for block in blocks)]
    script = folder / ".blocks.py"
    script.write_text("\n".join(parts))
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return [part.removeprefix("\n") for part in done.stdout.split(_MARK)[1:]]


def check_shown(printed: str, shown: str | None) -> None:
    """Hold what was printed to what the page shows.

    In what is shown, `…` stands for anything within a line, and alone on a line for any lines. A
    page that shows nothing promises no more than a console without alarms.
    """
    assert not _ALARMS.search(printed), printed
    if shown is not None:
        pattern = "".join(
            r"(?:.*\n)*?" if line == "…" else ".*?".join(map(_loosely, line.split("…"))) + "\n"
            for line in shown.splitlines()
        )
        assert re.fullmatch(pattern, printed), f"printed:\n{printed}\nshown:\n{shown}"


def _loosely(text: str) -> str:
    """Return a pattern for a text in which blanks may be more or fewer, as columns are wide."""
    return r"\s+".join(map(re.escape, re.split(r"\s+", text)))
