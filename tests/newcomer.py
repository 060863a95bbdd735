"""A newcomer's hour: follow docs/tutorial.md literally, on a fresh virtual environment.

    python tests/newcomer.py

All commands of the page are run in one shell, in their order, in a copy of this checkout. Only the
port of Prefect's server is another one, as somebody may use it. Ends with 1 where a command fails,
or where the console shows anything that the page does not.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from documents import REPOSITORY, SHELL, blocks_of, check_shown, run_commands

PAGE = "docs/tutorial.md"


def main() -> int:
    """Follow the page, tell how it went, and leave nothing."""
    with tempfile.TemporaryDirectory(prefix="newcomer-") as place:
        checkout = Path(place, "digitflow")
        copy_checkout(checkout)
        try:
            follow(checkout)
        except AssertionError as error:
            print(error, file=sys.stderr)
            return 1
    print(f"{PAGE}: all as it says")
    return 0


def copy_checkout(target: Path) -> None:
    """Copy what git knows, or would if it were told, as it is now."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    for name in filter(None, names.stdout.split("\0")):
        if (REPOSITORY / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, target / name)


def follow(checkout: Path) -> None:
    """Run the page's commands, and hold what each block prints to what the page shows."""
    blocks = [block for block in blocks_of(PAGE) if block.language in SHELL]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    commands = [[line.replace(":4200", f":{port}") for line in block.commands] for block in blocks]
    printed = run_commands(commands, checkout, newcomers_environment(checkout, port))
    for block, text in zip(blocks, printed, strict=True):
        check_shown(text, block.shown or "")


def newcomers_environment(checkout: Path, port: int) -> dict[str, str]:
    """Return an environment that knows nothing of this one but where packages come from."""
    known = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    packages = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    return {
        **known,
        **packages,
        # A word on a newer pip is the day's, not the page's.
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "HOME": str(checkout.parent),
        "PREFECT_SERVER_API_PORT": str(port),
    }


if __name__ == "__main__":
    sys.exit(main())
