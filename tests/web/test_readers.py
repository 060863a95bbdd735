"""The lanes in which images are read: who waits, who is refused, and what is left behind."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest
from asked import PATIENCE, SEVEN, app_of, ask, ask_batch, ask_raw, encoded
from fastapi import FastAPI
from odd_calls import end
from PIL import Image
from starlette.requests import ClientDisconnect, Request

from digitflow.web.readers import QUICK, Lane, ReaderPool


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """Return a pipe at which whoever reads it waits for its other end."""
    os.mkfifo(tmp_path / "gate")
    return tmp_path / "gate"


@contextmanager
def held_up(lane: Lane, gate: Path) -> Iterator[None]:
    """Keep a lane with one process busy."""
    held = lane._executor.submit(lane._make, partial(Path.read_bytes, gate))
    descriptor = os.open(gate, os.O_WRONLY)  # when the other end is opened
    try:
        yield
    finally:
        os.close(descriptor)
        assert held.result(PATIENCE) == b""


def small() -> bytes:
    return encoded(Image.open(SEVEN).convert("L").resize((28, 28)))


def test_a_full_lane_says_so_and_is_free_again(gate: Path):
    answers: list[httpx.Response] = []
    files = {"a.png": SEVEN.read_bytes(), "b.png": SEVEN.read_bytes()}

    with app_of(workers=1, queue=2, max_files=2) as app:
        lane = app.state.pool.slow
        with held_up(lane, gate):
            waiting = threading.Thread(target=lambda: answers.append(ask_batch(app, files)))
            waiting.start()
            while lane.n_taken < 2:
                pass
            refused = ask_batch(app, files)
            beside = ask_raw(app, small())
        waiting.join(PATIENCE)

        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"
        assert "try again" in refused.json()["detail"]
        assert beside.status_code == 200
        assert [answer.status_code for answer in answers] == [200]
        assert ask_batch(app, files).status_code == 200
        assert lane.n_taken == 0


def test_large_images_are_read_where_small_ones_wait(gate: Path):
    with app_of(workers=1) as app, held_up(app.state.pool.quick, gate):
        assert ask_raw(app, SEVEN.read_bytes()).status_code == 200


@pytest.mark.parametrize(
    ("n_bytes", "lane"), [(100, "quick"), (QUICK, "quick"), (QUICK + 1, "slow"), (10**6, "slow")]
)
def test_the_size_decides_about_the_lane(n_bytes: int, lane: str):
    pool = ReaderPool(1, 1)

    assert pool.lane_for(n_bytes) is getattr(pool, lane)


def test_what_takes_long_however_small_is_not_quick(gate: Path):
    with app_of(workers=1) as app, held_up(app.state.pool.quick, gate):
        assert ask_raw(app, small(), "?explain=true").status_code == 200


def test_a_client_that_leaves_leaves_no_place_taken(gate: Path, tmp_path: Path):
    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def leave(lane: Lane) -> None:
        calls = [partial(Path.touch, tmp_path / "read")] * 3
        with pytest.raises(ClientDisconnect):
            await lane.run(calls, Request({"type": "http"}, receive))

    with app_of(workers=1) as app:
        lane = app.state.pool.slow
        with held_up(lane, gate):
            asyncio.run(leave(lane))
            assert lane.n_taken == 0
        assert ask_raw(app, SEVEN.read_bytes()).status_code == 200

    assert not (tmp_path / "read").exists()


def test_an_image_that_ends_its_process_is_a_503_and_the_next_one_is_read(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    with app_of(workers=1) as app:
        with monkeypatch.context() as patched:
            patched.setattr("digitflow.web.api.predict_one", end)
            answer = ask_raw(app, SEVEN.read_bytes())

        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert answer.json()["type"] == "urn:digitflow:problem:ended"
        assert "a process that read an image ended: exit code -9" in caplog.text
        assert ask_raw(app, SEVEN.read_bytes()).status_code == 200
        assert app.state.pool.slow.n_taken == 0


def test_no_process_is_left(app_pids: list[int]):
    assert len(app_pids) == 2
    assert not any(map(psutil.pid_exists, app_pids))


@pytest.fixture
def app_pids(gate: Path) -> list[int]:
    """Return the processes of an app that was closed while one of them was busy."""
    with app_of(workers=1) as app:
        read_both(app)
        pool = app.state.pool
        pids = [process.pid for lane in (pool.quick, pool.slow) for process in lane.processes]
        pool.slow._executor.submit(pool.slow._make, partial(Path.read_bytes, gate))
        os.close(os.open(gate, os.O_WRONLY))
    return pids


def read_both(app: FastAPI) -> None:
    assert {ask_raw(app, image).status_code for image in (small(), SEVEN.read_bytes())} == {200}


def test_the_lanes_are_told_apart():
    with app_of(workers=1) as app:
        told = ask(app, "GET", "/metrics").text

    for lane in ("quick", "slow"):
        assert f'digitflow_images_in_work{{lane="{lane}"}} 0.0' in told
