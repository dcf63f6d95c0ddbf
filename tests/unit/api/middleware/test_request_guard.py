"""The gate, before an application that does nothing but read."""

import asyncio
import json
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from dermtriage.core.errors import NotAuthenticated, Unavailable
from dermtriage.core.settings import Settings
from dermtriage_api import auth
from dermtriage_api.auth import Admitted, Principal
from dermtriage_api.middleware import request_guard
from dermtriage_api.middleware.request_guard import (
    FULL_UPLOADS_AT_ONCE,
    MAX_JSON_BYTES,
    RequestGuard,
)

LIMIT = 1000
CLINIC = Principal("clinic", UUID(int=1), "Aldea Norte", "x")
CLINICIAN = Principal("clinician", UUID(int=2), "ana", "x")
settings = Settings.model_construct(max_request_bytes=LIMIT, body_timeout=0.05)


class Reader:
    """An application that reads its body to the end and answers 200."""

    def __init__(self) -> None:
        self.read = b""
        self.principal: Any = None
        self.called = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.called = True
        self.principal = scope.get("state", {}).get("principal")
        more = True
        while more:
            message = await receive()
            self.read += message["body"]
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})


class Exchange:
    """One request over a line that delivers `chunks` and then is silent."""

    def __init__(
        self,
        app: RequestGuard,
        chunks: Iterable[bytes] = (),
        *,
        whole: bool = True,
        method: str = "POST",
        path: str = "/v1/cases",
        length: int | None = None,
    ) -> None:
        chunks = list(chunks)
        self._app = app
        self._incoming = [
            {"type": "http.request", "body": c, "more_body": not whole or i < len(chunks) - 1}
            for i, c in enumerate(chunks)
        ]
        headers = [(b"authorization", b"Bearer x")]
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        elif chunks:
            headers.append((b"transfer-encoding", b"chunked"))
        self.scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": headers,
            "app": SimpleNamespace(
                state=SimpleNamespace(services=SimpleNamespace(settings=settings))
            ),
        }
        self.sent: list[Any] = []
        self.taken = 0

    async def run(self) -> "Exchange":
        await self._app(self.scope, self._receive, self._send)
        return self

    async def _receive(self) -> Any:
        if self.taken == len(self._incoming):
            await asyncio.Event().wait()
        self.taken += 1
        return self._incoming[self.taken - 1]

    async def _send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def problem(self) -> Any:
        return json.loads(b"".join(message["body"] for message in self.sent[1:]))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_guard, "LINGER", 0.05)
    monkeypatch.setattr(request_guard, "authenticate", lambda *_: CLINIC)


def go(app: Reader, *args: Any, **options: Any) -> Exchange:
    return asyncio.run(_go(app, *args, **options))


async def _go(app: Reader, *args: Any, **options: Any) -> Exchange:
    # The application turns what `receive` raises into an answer, as FastAPI's handlers do.
    async def answering(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except request_guard.FORESEEN as error:
            await request_guard.problem_response(error)(scope, receive, send)

    return await Exchange(RequestGuard(answering), *args, **options).run()


def test_a_body_within_the_limits_passes_whole() -> None:
    app = Reader()
    exchange = go(app, [b"a" * 600, b"b" * 400])
    assert (exchange.status, app.read) == (200, b"a" * 600 + b"b" * 400)
    assert app.principal == CLINIC
    assert b"connection" not in exchange.headers


def test_one_byte_too_many_is_refused_as_it_comes() -> None:
    exchange = go(Reader(), [b"a" * 600, b"b" * 401])
    assert (exchange.status, exchange.problem["code"]) == (413, "request_too_large")


def test_too_large_a_length_is_refused_unread() -> None:
    app = Reader()
    exchange = go(app, [], length=LIMIT + 1)
    assert (exchange.status, app.called) == (413, False)
    assert exchange.headers[b"connection"] == b"close"
    # The whole answer is sent before the rest of the body is awaited, and then it is ended.
    assert exchange.sent[1]["more_body"] is True
    assert exchange.sent[-1] == {"type": "http.response.body", "body": b""}


def test_other_requests_have_a_small_limit() -> None:
    exchange = go(Reader(), [b"a" * (MAX_JSON_BYTES + 1)], path="/v1/sessions")
    assert exchange.status == 413


def test_silence_in_the_middle_is_given_up() -> None:
    exchange = go(Reader(), [b"a"], whole=False)
    assert (exchange.status, exchange.problem["code"]) == (408, "body_too_slow")
    assert exchange.headers[b"connection"] == b"close"


@pytest.mark.parametrize(
    ("error", "status"),
    [(NotAuthenticated("No key."), 401), (Unavailable("No database."), 503)],
)
def test_who_is_not_known_is_not_read(
    error: Exception, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(request_guard, "authenticate", refuse)
    app = Reader()
    exchange = go(app, [b"a"], whole=False)
    assert (exchange.status, app.called) == (status, False)


@pytest.mark.parametrize(
    ("principal", "method", "path", "waits", "asked"),
    [
        (CLINIC, "POST", "/v1/cases", 0.0, 1),
        (CLINIC, "POST", "/v1/cases", Admitted.SECONDS, 2),
        (CLINIC, "GET", "/v1/cases", 0.0, 2),
        (CLINICIAN, "POST", "/v1/cases", 0.0, 2),
    ],
)
def test_a_clinic_that_was_known_a_moment_ago_uploads_without_a_question(
    principal: Principal,
    method: str,
    path: str,
    waits: float,
    asked: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    questions, now = [], [100.0]
    monkeypatch.setattr(request_guard, "authenticate", lambda *a: questions.append(a) or principal)
    monkeypatch.setattr(auth, "time", SimpleNamespace(monotonic=lambda: now[0]))
    app = Reader()

    async def twice() -> None:
        one = RequestGuard(app)
        await Exchange(one, [b"a"], method=method, path=path).run()
        now[0] += waits
        app.principal = None
        await Exchange(one, [b"a"], method=method, path=path).run()

    asyncio.run(twice())
    assert (len(questions), app.principal) == (asked, principal)


def test_few_are_remembered() -> None:
    admitted = Admitted()
    for number in range(3 * Admitted.MOST):
        admitted.add(f"Bearer {number}", CLINIC)
    assert admitted.find(f"Bearer {number}") == CLINIC
    assert admitted.find("Bearer 0") is None
    assert admitted.find(None) is None


def test_what_is_refused_is_drained_for_its_sender() -> None:
    exchange = go(Reader(), [b"a" * 999] * 5)
    assert exchange.status == 413
    assert exchange.taken == 5


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/sessions"), ("GET", "/healthz"), ("GET", "/docs")]
)
def test_some_addresses_are_for_everybody(
    method: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(request_guard, "authenticate")
    exchange = go(Reader(), [b"{}"], method=method, path=path)
    assert exchange.status == 200


def test_more_bodies_than_memory_are_put_off() -> None:
    async def many() -> None:
        entered, leave = asyncio.Event(), asyncio.Event()
        inside = 0

        async def hold(_scope: Any, _receive: Any, send: Any) -> None:
            nonlocal inside
            inside += 1
            if inside == FULL_UPLOADS_AT_ONCE:
                entered.set()
            await leave.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})

        app = RequestGuard(hold)
        holding = [
            asyncio.create_task(Exchange(app, [b"a"]).run()) for _ in range(FULL_UPLOADS_AT_ONCE)
        ]
        await entered.wait()
        # Even a small body finds no room while all of it is promised to chunked ones.
        refused = await Exchange(app, [b"a"], length=1).run()
        assert (refused.status, refused.problem["code"]) == (503, "busy")
        assert int(refused.headers[b"retry-after"]) > 0
        # Requests without photographs go on.
        claim = asyncio.create_task(
            Exchange(app, [b"{}"], path="/v1/worklist/claims", length=2).run()
        )
        leave.set()
        assert (await claim).status == 200
        assert [one.status for one in await asyncio.gather(*holding)] == [200] * len(holding)
        assert (await Exchange(app, [b"a"]).run()).status == 200

    asyncio.run(many())
