"""A Dockerfile, read and followed in plain folders: for machines without a container engine.

Knows the instructions that ours has, and no others. A stage becomes a folder with a file system,
into which RUN steps are locked by chroot, in mount and process name spaces of their own.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Template


@dataclass(frozen=True)
class Stage:
    """A `FROM` and what follows, up to the next one."""

    name: str
    parent: str  # a stage, or an image
    steps: list[tuple[str, str]]  # instruction, the rest of its line

    def last(self, instruction: str) -> str:
        return [rest for name, rest in self.steps if name == instruction][-1]


def read_stages(file: Path) -> dict[str, Stage]:
    """Return the stages of a Dockerfile by name, in order."""
    text = re.sub(r"^\s*#.*\n", "", file.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    stages: dict[str, Stage] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        instruction, rest = line.split(None, 1)
        if instruction == "FROM":
            parent, name = rest.split(" AS ")
            stages[name] = stage = Stage(name, parent, [])
        else:
            stage.steps.append((instruction, " ".join(rest.split())))
    return stages


def lineage(stages: Mapping[str, Stage], name: str) -> list[Stage]:
    """Return a stage and those that it is made from, the oldest first."""
    stage = stages[name]
    older = lineage(stages, stage.parent) if stage.parent in stages else []
    return [*older, stage]


def files_sent(repository: Path) -> Iterator[Path]:
    """Give the files that `.dockerignore` lets an engine see, relative to the repository."""
    patterns = [
        line.rstrip("/")
        for line in (repository / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    for folder, folders, names in os.walk(repository):
        folders[:] = [name for name in folders if name not in (".git", ".venv")]
        for name in names:
            file = Path(folder, name).relative_to(repository)
            if is_sent(file, patterns):
                yield file


def is_sent(file: Path, patterns: Sequence[str]) -> bool:
    """Tell whether an engine sees a file: the last pattern for it, or a folder of it, decides."""
    sent = True
    for pattern in patterns:
        expression = _as_expression(pattern.removeprefix("!"))
        if any(expression.fullmatch(str(each)) for each in (file, *file.parents)):
            sent = pattern.startswith("!")
    return sent


def _as_expression(pattern: str) -> "re.Pattern[str]":
    parts = re.split(r"(\*\*/|\*)", pattern)
    known = {"**/": "(?:.*/)?", "*": "[^/]*"}
    return re.compile("".join(known.get(part, re.escape(part)) for part in parts))


@dataclass(frozen=True)
class Image:
    """A file system in a folder, and how what runs in it is started."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0:0"

    def command(
        self,
        words: Sequence[str],
        mounts: Mapping[str, Path] | None = None,
        read_only: bool = False,
        **environment: str,
    ) -> list[str]:
        """Return the command that runs words in the image, as its process number 1.

        Its mounts are seen by nobody else, and go with it.

        Parameters
        ----------
        words : sequence of str
        mounts : mapping of str to Path, optional
            Folders to be seen in the image, by their place in it; the places must be there.
        read_only : bool
            Whether all but the mounts and /tmp is read-only.
        **environment : str
            Beside the image's own.
        """
        root = shlex.quote(str(self.root))
        lines = [f"mount --bind {root} {root}"]
        if read_only:
            lines += [f"mount -o remount,bind,ro {root}", f"mount -t tmpfs tmpfs {root}/tmp"]
        lines += [f"mount --rbind /dev {root}/dev", f"mount -t proc proc {root}/proc"]
        for place, source in (mounts or {}).items():
            lines.append(f"mount --bind {shlex.quote(str(source))} {root}{place}")
        variables = [f"{name}={value}" for name, value in (self.environment | environment).items()]
        inside = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', self.folder, *words]
        chroot = ["chroot", f"--userspec={self.user}", str(self.root)]
        lines.append("exec " + shlex.join([*chroot, "env", "-i", *variables, *inside]))
        name_spaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        return [*name_spaces, "sh", "-euc", "\n".join(lines)]


class Builder:
    """Follows a Dockerfile.

    Parameters
    ----------
    repository : Path
        Where the Dockerfile and what it copies are.
    folder : Path
        For the file systems of the stages.
    base : Path
        The file system that stands for the image that the Dockerfile begins with.
    mounts, environment
        What every RUN step sees beside it.
    """

    def __init__(
        self,
        repository: Path,
        folder: Path,
        base: Path,
        mounts: Mapping[str, Path],
        environment: Mapping[str, str],
    ):
        self.repository = repository
        self.stages = read_stages(repository / "Dockerfile")
        self.sent = set(files_sent(repository))
        self.folder = folder
        self.base = Image(base, {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin"})
        self.mounts = mounts
        self.environment = environment
        self.built: dict[str, Image] = {}

    def build(self, name: str) -> Image:
        """Return the image of a stage."""
        if name not in self.stages:
            return self.base
        if name not in self.built:
            stage = self.stages[name]
            parent = self.build(stage.parent)
            root = self.folder / name
            subprocess.run(["cp", "-a", parent.root, root], check=True)
            image = replace(parent, root=root)
            for instruction, rest in stage.steps:
                image = self._follow(image, instruction, rest)
            self.built[name] = image
        return self.built[name]

    def _follow(self, image: Image, instruction: str, rest: str) -> Image:
        match instruction:
            case "RUN":
                command = image.command(["sh", "-c", rest], self.mounts, **self.environment)
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                assert done.returncode == 0, f"RUN {rest}\n{done.stdout}{done.stderr}"
            case "COPY":
                self._copy(image, rest.split())
            case "ENV":
                pairs = (pair.split("=", 1) for pair in shlex.split(rest))
                new = {key: Template(value).substitute(image.environment) for key, value in pairs}
                return replace(image, environment=image.environment | new)
            case "WORKDIR":
                (image.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
                return replace(image, folder=rest)
            case "USER":
                return replace(image, user=rest)
            case "VOLUME" | "EXPOSE" | "STOPSIGNAL" | "HEALTHCHECK" | "CMD":
                pass  # tell how to run it, not what is in it
            case _:
                raise AssertionError(f"Dockerfile: {instruction} is not known here")
        return image

    def _copy(self, image: Image, words: list[str]) -> None:
        *sources, place = words
        target = image.root / str(Path(image.folder, place)).lstrip("/")
        if sources[0].startswith("--from="):
            origin = self.build(sources.pop(0).removeprefix("--from=")).root
            for source in sources:
                shutil.copytree(
                    origin / source.lstrip("/"), target, symlinks=True, dirs_exist_ok=True
                )
            return
        for source in sources:
            files = [each for each in self.sent if each.is_relative_to(source)]
            assert files, f"COPY {source}: nothing that .dockerignore lets through"
            for file in files:
                inner = file.relative_to(source)
                goal = target / inner
                if goal == target and place.endswith("/"):
                    goal = target / file.name
                goal.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self.repository / file, goal)


def words_of(rest: str) -> list[str]:
    """Return the words of a CMD or HEALTHCHECK in exec form."""
    return json.loads(rest[rest.index("[") :])
