"""The guards around a small app: who may ask, from where, how much."""

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

from digitflow.web import guards
from digitflow.web.options import ServerOptions

TOKEN = "correct-horse-battery-staple"

Ask = Callable[..., httpx.Response]


def app_of(**options: object) -> FastAPI:
    """Return a small app behind guards."""
    app = FastAPI()

    @app.get("/")
    async def page() -> HTMLResponse:
        return HTMLResponse("<p>page</p>")

    @app.get("/livez")
    async def health() -> str:
        return "alive"

    @app.get("/fails")
    async def fail() -> None:
        raise RuntimeError("with a secret in it")

    @app.post("/size")
    async def tell_size(request: Request) -> int:
        return len(await request.body())

    guards.protect(app, ServerOptions(**options))
    return app


def client_of(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost:8000")


def ask_of(**options: object) -> Ask:
    """Return what asks such an app."""
    app = app_of(**options)

    def ask(path: str, method: str = "GET", **arguments: object) -> httpx.Response:
        async def run() -> httpx.Response:
            async with client_of(app) as client:
                return await client.request(method, path, **arguments)

        return asyncio.run(run())

    return ask


def check_problem(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert answer.json()["instance"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/", "/livez", "/nowhere", "/fails"])
def test_every_answer_has_the_headers_of_all(path: str):
    headers = ask_of()(path).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["permissions-policy"].startswith("camera=(self)")
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert ("script-src 'self'" in policy) == (path == "/")
    assert "unsafe" not in policy


@pytest.mark.parametrize(("path", "status"), [("/livez", 200), ("/nowhere", 404), ("/size", 405)])
def test_head_is_answered_as_get_is(path: str, status: int):
    assert ask_of()(path, "HEAD").status_code == ask_of()(path).status_code == status


def test_an_error_is_told_without_what_it_says(caplog: pytest.LogCaptureFixture):
    answer = ask_of()("/fails", headers={"X-Request-ID": "my-id"})

    check_problem(answer, 500)
    assert "secret" not in answer.text
    assert "request my-id: failed" in caplog.text
    assert "with a secret in it" in caplog.text


@pytest.mark.parametrize("own", ["a", "A-z_0.9", "x" * 64])
def test_a_client_may_name_its_request(own: str):
    assert ask_of()("/livez", headers={"X-Request-ID": own}).headers["x-request-id"] == own


@pytest.mark.parametrize("odd", ["", "x" * 65, "a b", 'a"b', "a=b", "<b>", "é"])
def test_odd_names_of_requests_are_replaced(odd: str):
    given = [(b"x-request-id", odd.encode())]

    made = [ask_of()("/livez", headers=given).headers["x-request-id"] for _ in range(2)]

    assert odd not in made
    assert made[0] != made[1]
    assert all(len(each) == 16 for each in made)


@pytest.mark.parametrize(
    "host",
    [
        *["localhost", "LOCALHOST:8000", "localhost.", "127.0.0.1", "127.0.0.1:9", "[::1]:8000"],
        *["10.1.2.3", "digits.example", "DIGITS.example:443", "own.example"],
    ],
)
def test_known_names_and_bare_addresses_are_answered(host: str):
    ask = ask_of(host="own.example", allowed_hosts=("digits.example",))

    assert ask("/livez", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *[("evil.example", 421), ("localhost.evil.example", 421), ("127.0.0.1.evil.example", 421)],
        *[("digits.example.", 200), ("xdigits.example", 421), ("0x7f.1", 421), ("2130706433", 421)],
        *[("", 400), ("a@localhost", 400), ("localhost/x", 400), ("localhost:x", 400)],
        *[("localhost:99999", 400), ("[::1", 400), ("localhost, evil.example", 421)],
    ],
)
def test_other_names_are_refused(host: str, status: int):
    answer = ask_of(allowed_hosts=("digits.example",))("/livez", headers={"Host": host})

    assert answer.status_code == status
    if status != 200:
        check_problem(answer, status)


def test_without_a_token_anyone_may_ask():
    assert ask_of()("/nowhere").status_code == 404


@pytest.mark.parametrize("path", ["/livez"])
def test_health_needs_no_token(path: str):
    assert ask_of(token=TOKEN)(path).status_code == 200


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.upper()}",
        f"Bearer x {TOKEN}",
        "Bearer é",
    ],
)
@pytest.mark.parametrize("path", ["/size", "/nowhere", "/livez/", "/livez//", "/x/livez"])
def test_all_else_needs_the_token(given: str | None, path: str):
    headers = [] if given is None else [(b"authorization", given.encode())]

    answer = ask_of(token=TOKEN)(path, headers=headers)

    check_problem(answer, 401)
    assert answer.headers["www-authenticate"] == 'Bearer realm="digitflow"'


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_the_token_opens(scheme: str):
    headers = {"Authorization": f"{scheme} {TOKEN}"}

    answer = ask_of(token=TOKEN)("/size", "POST", headers=headers, content=b"abc")

    assert answer.json() == 3


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch):
    compared = []

    def compare(first: bytes, second: bytes) -> bool:
        compared.append((first, second))
        return False

    monkeypatch.setattr("hmac.compare_digest", compare)

    ask_of(token=TOKEN)("/size", headers={"Authorization": "Bearer guess"})

    assert compared == [(b"guess", TOKEN.encode())]


PAGE = "https://app.example"


@pytest.mark.parametrize(
    "origin",
    [
        *["http://evil.example", "null", "https://app.example.evil.example", "http://app.example"],
        *["https://app.example:444", "http://localhost:8001", "localhost:8000", ""],
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_pages_from_elsewhere_are_refused(origin: str, method: str):
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}

    answer = ask_of(allowed_origins=(PAGE,))("/size", method, headers=headers)

    check_problem(answer, 403)
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("origin", ["http://localhost:8000", "https://localhost:8000"])
def test_the_own_page_may_ask(origin: str):
    answer = ask_of()("/size", "POST", headers={"Origin": origin}, content=b"abc")

    assert answer.json() == 3


def test_an_allowed_page_may_ask_and_read():
    answer = ask_of(allowed_origins=(PAGE,))("/size", "POST", headers={"Origin": PAGE})

    assert answer.json() == 0
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "x-request-id" in answer.headers["access-control-expose-headers"]
    assert answer.headers["vary"].lower() == "origin"


def test_an_allowed_page_may_ask_whether_it_may_without_the_token():
    headers = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }

    answer = ask_of(allowed_origins=(PAGE,), token=TOKEN)("/size", "OPTIONS", headers=headers)

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-methods"] == "GET, POST"
    assert "authorization" in answer.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in answer.headers


def test_an_allowed_page_reads_why_it_was_refused():
    answer = ask_of(allowed_origins=(PAGE,), token=TOKEN)("/size", headers={"Origin": PAGE})

    check_problem(answer, 401)
    assert answer.headers["access-control-allow-origin"] == PAGE


async def in_pieces(n_bytes: int) -> AsyncIterator[bytes]:
    for _ in range(n_bytes):
        yield b"a"


@pytest.mark.parametrize("chunked", [True, False])
def test_bodies_up_to_the_limit_are_taken(chunked: bool):
    ask = ask_of(max_body=1000)

    fits, larger = (
        ask("/size", "POST", content=in_pieces(size) if chunked else b"a" * size)
        for size in (1000, 1001)
    )

    assert fits.json() == 1000
    check_problem(larger, 413)


@pytest.mark.parametrize("length", ["-1", "1e3", "²", "99999999999999999999"])
def test_odd_lengths_are_refused(length: str):
    headers = [(b"content-length", length.encode())]

    answer = ask_of()("/size", "POST", headers=headers, content=in_pieces(1))

    assert answer.status_code in (400, 413)


def test_what_all_requests_hold_together_is_bounded():
    app = app_of(max_body=1000)

    async def run() -> list[httpx.Response]:
        all_began = asyncio.Barrier(20)

        async def body() -> AsyncIterator[bytes]:
            yield b"a" * 999
            await all_began.wait()
            yield b"a"

        async with client_of(app) as client, asyncio.timeout(60):
            sending = (client.post("/size", content=body()) for _ in range(20))
            answers = await asyncio.gather(*sending)
            return [*answers, await client.post("/size", content=b"a" * 1000)]

    *together, after = asyncio.run(run())

    # Of eight bodies of the largest size.
    assert sorted(answer.status_code for answer in together) == [200] * 8 + [503] * 12
    refused = next(answer for answer in together if answer.status_code == 503)
    check_problem(refused, 503)
    assert refused.headers["retry-after"] == "1"
    assert after.json() == 1000
