import hashlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from datasets.mirror import (
    BODY,
    FILE,
    MD5_FILE,
    NAME,
    Answer,
    Mirror,
    Request,
    not_found,
    sending,
)

from digitflow.datasets import downloading, transfers
from digitflow.datasets.catalogue import RemoteFile
from digitflow.datasets.downloading import fetch, fetch_all, is_cached
from digitflow.errors import DatasetUnavailableError, OutputError

FLIPPED = bytes([BODY[0] ^ 1]) + BODY[1:]

by_either_digest = pytest.mark.parametrize("file", [FILE, MD5_FILE], ids=["sha256", "md5"])


@pytest.fixture(autouse=True)
def quick_and_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(downloading, "PAUSE", 0.0)
    monkeypatch.setattr(transfers, "LARGEST", 2 * len(BODY))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "mnist"


def cut_off(request: Request) -> None:
    request.reply(BODY[:1000], Content_Length=str(len(BODY)))


def endless(request: Request) -> None:
    request.reply(b"")
    while not request.server.closing.is_set():
        request.wfile.write(BODY)


def trickling(request: Request) -> None:
    request.reply(b"", Content_Length=str(len(BODY)))
    while not request.server.closing.wait(0.01):
        request.wfile.write(b"x")


def never_answering(request: Request) -> None:
    request.server.closing.wait()


# What is said where SHA-256 and size are known; and where MD5 alone is, if that is another thing.
QUICK_FAULTS: dict[str, tuple[Answer, str] | tuple[Answer, str, str]] = {
    "wrong digest": (sending(FLIPPED), "SHA-256 differs", "MD5 differs"),
    "connection cut": (cut_off, "truncated: the connection broke off"),
    "short": (
        lambda request: request.reply(BODY[:1000]),
        "truncated: 1,000 of 256,000 bytes",
        "MD5 differs",
    ),
    "empty": (lambda request: request.reply(b""), "truncated: 0 of 256,000 bytes", "MD5 differs"),
    "long": (sending(BODY + b"x"), "256,001 bytes instead of 256,000", "MD5 differs"),
    "endless": (
        endless,
        "more than the expected 256,000 bytes",
        "more than the expected 512,000 bytes",
    ),
    "page": (
        lambda request: request.reply(b"<html>Log in", Content_Type="text/html; charset=utf-8"),
        "a web page instead of the file",
    ),
    "page without a type": (
        sending(b"<html>Log in</html>"),
        "19 bytes instead of 256,000",
        "MD5 differs",
    ),
    "503": (lambda request: request.reply(b"later", status=503), "HTTP status 503"),
    "404": (not_found, "HTTP status 404"),
    "redirect loop": (
        lambda request: request.reply(b"", status=302, Location=request.path),
        "Exceeded 30 redirects",
    ),
    "redirect to nonsense": (
        lambda request: request.reply(b"", status=302, Location="http://[/"),
        "Invalid",
    ),
}
STALLS: dict[str, tuple[Answer, str] | tuple[Answer, str, str]] = {
    "trickle": (trickling, "stalled, not complete after 0.3 s"),
    "silence": (never_answering, "stalled, not complete after 0.3 s"),
}


@by_either_digest
def test_downloads_what_is_missing(mirror: Mirror, folder: Path, file: RemoteFile) -> None:
    assert fetch(file, [mirror.url], folder) == folder / NAME
    assert (folder / NAME).read_bytes() == BODY
    assert mirror.asked == [f"/{NAME}"]


@by_either_digest
def test_takes_what_is_cached_and_writes_nothing(
    mirror: Mirror, folder: Path, file: RemoteFile
) -> None:
    folder.mkdir()
    (folder / NAME).write_bytes(BODY)
    folder.chmod(0o555)
    before = folder.stat().st_mtime_ns
    assert fetch(file, [mirror.url], folder) == folder / NAME
    assert fetch_all("MNIST", [file], [mirror.url], folder) == []
    # A file that came and went would have changed it too.
    assert folder.stat().st_mtime_ns == before
    assert mirror.asked == []


def test_follows_a_link_in_the_cache_but_never_writes_through_it(
    mirror: Mirror, folder: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(FLIPPED)
    folder.mkdir()
    (folder / NAME).symlink_to(elsewhere)
    fetch(FILE, [mirror.url], folder)
    assert (folder / NAME).read_bytes() == BODY
    assert elsewhere.read_bytes() == FLIPPED


@by_either_digest
@pytest.mark.parametrize("content", [FLIPPED, BODY[:-1], b""])
def test_replaces_a_damaged_file(
    mirror: Mirror, folder: Path, content: bytes, file: RemoteFile
) -> None:
    folder.mkdir()
    (folder / NAME).write_bytes(content)
    assert not is_cached(file, folder)
    fetch(file, [mirror.url], folder)
    assert (folder / NAME).read_bytes() == BODY


@by_either_digest
@pytest.mark.parametrize("fault", QUICK_FAULTS.values(), ids=QUICK_FAULTS)
def test_goes_on_to_the_next_mirror(
    mirror: Mirror, bad_mirror: Mirror, folder: Path, fault: tuple, file: RemoteFile
) -> None:
    bad_mirror.answers[NAME] = fault[0]
    fetch(file, [bad_mirror.url, mirror.url], folder)
    assert (folder / NAME).read_bytes() == BODY
    assert bad_mirror.asked
    assert mirror.asked == [f"/{NAME}"]


@by_either_digest
@pytest.mark.parametrize(
    "fault", [*QUICK_FAULTS.values(), *STALLS.values()], ids=[*QUICK_FAULTS, *STALLS]
)
def test_a_bad_download_replaces_nothing(
    bad_mirror: Mirror, folder: Path, fault: tuple, file: RemoteFile
) -> None:
    answer, reason = fault[0], fault[-1] if file is MD5_FILE else fault[1]
    folder.mkdir()
    (folder / NAME).write_bytes(FLIPPED)
    bad_mirror.answers[NAME] = answer
    deadline = 0.3 if "stalled" in reason else None
    started = time.monotonic()
    with pytest.raises(DatasetUnavailableError) as caught:
        fetch(file, [bad_mirror.url], folder, deadline=deadline)
    assert time.monotonic() - started < 5
    assert reason in str(caught.value)
    assert (folder / NAME).read_bytes() == FLIPPED
    assert {path.name for path in folder.iterdir()} == {NAME, ".lock"}


def in_turn(*answers: Answer) -> Answer:
    """Answer each request in another way."""
    left = iter(answers)
    return lambda request: next(left)(request)


@by_either_digest
@pytest.mark.parametrize(
    "first",
    [
        *(lambda request, status=status: request.reply(b"", status) for status in (429, 503)),
        cut_off,
    ],
    ids=["429", "503", "connection cut"],
)
def test_a_mirror_that_was_busy_is_asked_once_more(
    mirror: Mirror, folder: Path, first: Answer, file: RemoteFile
) -> None:
    mirror.answers[NAME] = in_turn(first, sending(BODY))
    assert fetch(file, [mirror.url], folder).read_bytes() == BODY
    assert mirror.asked == [f"/{NAME}"] * 2


def test_a_mirror_that_stays_busy_is_asked_no_more_than_twice(mirror: Mirror, folder: Path) -> None:
    mirror.answers[NAME] = lambda request: request.reply(b"", status=503)
    with pytest.raises(DatasetUnavailableError, match="HTTP status 503"):
        fetch(FILE, [mirror.url], folder)
    assert mirror.asked == [f"/{NAME}"] * 2


def test_a_mirror_that_has_not_got_it_is_asked_once(mirror: Mirror, folder: Path) -> None:
    for answer in (not_found, sending(FLIPPED)):
        mirror.asked.clear()
        mirror.answers[NAME] = answer
        with pytest.raises(DatasetUnavailableError):
            fetch(FILE, [mirror.url], folder)
        assert mirror.asked == [f"/{NAME}"]


def test_a_stalled_mirror_does_not_keep_the_next_one_from_being_asked(
    mirror: Mirror, bad_mirror: Mirror, folder: Path
) -> None:
    bad_mirror.answers[NAME] = trickling
    fetch(FILE, [bad_mirror.url, mirror.url], folder, deadline=1.0)
    assert (folder / NAME).read_bytes() == BODY


def test_the_message_says_what_was_tried_and_what_to_do(
    bad_mirror: Mirror, refusing: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    with pytest.raises(DatasetUnavailableError) as caught:
        fetch(FILE, [bad_mirror.url, refusing], Path(folder.name))
    assert str(caught.value) == (
        f"{NAME} is not in {folder} (put {NAME} there by hand) and cannot be downloaded"
        f" ({bad_mirror.url}: HTTP status 404; {refusing}: Connection refused)"
    )


def test_many_threads_download_once(mirror: Mirror, folder: Path) -> None:
    together = threading.Barrier(8)

    def work(_: int) -> Path:
        together.wait()
        return fetch(FILE, [mirror.url], folder)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(work, range(8))) == {folder / NAME}
    assert mirror.asked == [f"/{NAME}"]
    assert (folder / NAME).read_bytes() == BODY


def start_fetching(
    mirror: Mirror, folder: Path, preparation: str = "pass", file: RemoteFile = FILE
) -> subprocess.Popen[bytes]:
    mirrors = [mirror.url, mirror.url + "2/"]
    code = (
        "import resource; from pathlib import Path;"
        "from digitflow.datasets.downloading import RemoteFile, fetch;"
        f"{preparation}; fetch({file!r}, {mirrors!r}, Path({str(folder)!r}))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, env=environment)


@by_either_digest
def test_two_processes_download_once_and_without_a_word(
    mirror: Mirror, folder: Path, file: RemoteFile
) -> None:
    processes = [start_fetching(mirror, folder, file=file) for _ in range(2)]
    for process in processes:
        _, messages = process.communicate(timeout=60)
        assert (process.returncode, messages) == (0, b"")
    assert mirror.asked == [f"/{NAME}"]
    assert (folder / NAME).read_bytes() == BODY


@by_either_digest
def test_a_killed_download_is_in_nobodys_way(
    mirror: Mirror, folder: Path, file: RemoteFile
) -> None:
    begun = threading.Event()

    def answer(request: Request) -> None:
        request.reply(BODY[:1000], Content_Length=str(len(BODY)))
        begun.set()
        request.server.closing.wait()

    mirror.answers[NAME] = answer
    folder.mkdir()
    (folder / ".images.gz.mine").write_text("not ours")
    with start_fetching(mirror, folder, file=file) as process:
        assert begun.wait(60)
        process.send_signal(signal.SIGKILL)
    assert not (folder / NAME).exists()
    assert len(list(folder.glob(".images.gz.*"))) == 2
    mirror.answers[NAME] = sending(BODY)
    assert fetch(file, [mirror.url], folder).read_bytes() == BODY
    assert {path.name for path in folder.iterdir()} == {NAME, ".lock", ".images.gz.mine"}


def test_names_a_folder_that_cannot_be_made(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(OutputError, match="data/mnist: cannot be written") as caught:
        fetch(FILE, [mirror.url], tmp_path / "data" / "mnist")
    assert "\n" not in str(caught.value)
    assert mirror.asked == []


def test_a_full_disk_is_no_fault_of_the_mirror(mirror: Mirror, folder: Path) -> None:
    # The largest file the process may write stands for the disk.
    process = start_fetching(mirror, folder, f"resource.setrlimit({resource.RLIMIT_FSIZE}, (9, 9))")
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"OutputError" in messages
    assert b"cannot be written (File too large)" in messages
    assert [path.name for path in folder.iterdir()] == [".lock"]
    assert mirror.asked == [f"/{NAME}"]


def test_nothing_is_tried_where_no_mirror_answers(refusing: str, folder: Path) -> None:
    with pytest.raises(DatasetUnavailableError) as caught:
        fetch_all("MNIST", [FILE], [refusing], folder)
    assert str(caught.value) == (
        f"MNIST is not in {folder} (put {NAME} there by hand) and cannot be downloaded"
        f" ({refusing}: Connection refused)"
    )
    assert not folder.exists()


def test_says_that_a_file_is_damaged(refusing: str, folder: Path) -> None:
    folder.mkdir()
    (folder / NAME).write_bytes(FLIPPED)
    with pytest.raises(DatasetUnavailableError, match="MNIST is damaged in"):
        fetch_all("MNIST", [FILE], [refusing], folder)


def test_fetch_all_brings_only_what_is_missing(mirror: Mirror, refusing: str, folder: Path) -> None:
    mirror.answers["labels.gz"] = sending(b"labels")
    labels = RemoteFile("labels.gz", md5=hashlib.md5(b"labels").hexdigest())
    folder.mkdir()
    (folder / NAME).write_bytes(BODY)
    assert fetch_all("MNIST", [FILE, labels], [refusing, mirror.url], folder) == [
        folder / "labels.gz"
    ]
    assert mirror.asked == ["/labels.gz"]


def test_is_quiet_where_there_is_no_terminal(
    mirror: Mirror, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fetch(FILE, [mirror.url], folder)
    assert capfd.readouterr() == ("", "")
