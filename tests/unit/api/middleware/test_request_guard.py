"""The request guard, in front of an application that only reads its body."""

import asyncio
import json
from collections.abc import Callable, Iterable
from functools import partial
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from dermtriage.core.errors import NotAuthenticated, Unavailable
from dermtriage.core.settings import Settings
from dermtriage_api.auth import Principal
from dermtriage_api.http.error_responses import EXPECTED_ERRORS, error_response
from dermtriage_api.middleware.request_guard import MAX_JSON_BYTES, RequestGuard
from dermtriage_api.middleware.upload_room import CLINIC_SHARE
from dermtriage_api.threads import Threads

LIMIT = 1000
CLINIC = Principal("clinic", UUID(int=1), "Aldea Norte", "x")
settings = Settings.model_construct(max_request_bytes=LIMIT, body_timeout=0.05)


def as_clinic(_services: object, _authorization: str | None) -> Principal:
    return CLINIC


guard = partial(RequestGuard, authenticate=as_clinic, linger=0.05, sender_linger=0.05)


class Reader:
    """An application that reads its body to the end and answers 200."""

    def __init__(self) -> None:
        self.read = b""
        self.principal: Any = None
        self.called = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.called = True
        self.principal = scope.get("state", {}).get("principal")
        try:
            more = True
            while more:
                message = await receive()
                self.read += message["body"]
                more = message["more_body"]
        except EXPECTED_ERRORS as error:
            # FastAPI's exception handlers do the same with what `receive` raises.
            await error_response(error)(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})


class Exchange:
    """One request over a connection that delivers `chunks` and then nothing more."""

    def __init__(
        self,
        app: RequestGuard,
        chunks: Iterable[bytes] = (),
        *,
        whole: bool = True,
        method: str = "POST",
        path: str = "/v1/cases",
        length: int | None = None,
        token: str = "x",
    ) -> None:
        chunks = list(chunks)
        self._app = app
        self._incoming = [
            {"type": "http.request", "body": c, "more_body": not whole or i < len(chunks) - 1}
            for i, c in enumerate(chunks)
        ]
        headers = [(b"authorization", f"Bearer {token}".encode())]
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
                routes=[],
                state=SimpleNamespace(
                    services=SimpleNamespace(
                        settings=settings, threads=Threads.new(uploads=1, logins=1)
                    )
                ),
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


def exchange(
    app: Any, *args: Any, make: Callable[..., RequestGuard] = guard, **options: Any
) -> Exchange:
    return asyncio.run(Exchange(make(app), *args, **options).run())


def test_a_body_within_the_limits_passes_whole() -> None:
    app = Reader()
    done = exchange(app, [b"a" * 600, b"b" * 400])
    assert (done.status, app.read) == (200, b"a" * 600 + b"b" * 400)
    assert app.principal == CLINIC
    assert b"connection" not in done.headers


def test_a_chunked_body_is_refused_at_its_first_byte_too_many() -> None:
    done = exchange(Reader(), [b"a" * 600, b"b" * 401])
    assert (done.status, done.problem["code"]) == (413, "request_too_large")


def test_a_declared_length_that_is_too_large_is_refused_unread() -> None:
    app = Reader()
    done = exchange(app, [], length=LIMIT + 1)
    assert (done.status, app.called) == (413, False)
    assert done.headers[b"connection"] == b"close"
    # The whole answer is sent before the rest of the body is awaited, and then it is ended.
    assert done.sent[1]["more_body"] is True
    assert done.sent[-1] == {"type": "http.response.body", "body": b""}


def test_requests_without_photographs_have_a_small_limit() -> None:
    done = exchange(Reader(), [b"a" * (MAX_JSON_BYTES + 1)], path="/v1/sessions")
    assert done.status == 413


def test_a_body_that_stalls_times_out() -> None:
    done = exchange(Reader(), [b"a"], whole=False)
    assert (done.status, done.problem["code"]) == (408, "body_too_slow")
    assert done.headers[b"connection"] == b"close"


@pytest.mark.parametrize(
    ("error", "status"),
    [(NotAuthenticated("No key."), 401), (Unavailable("No database."), 503)],
)
def test_the_body_of_an_unauthenticated_request_is_not_read(error: Exception, status: int) -> None:
    def refuse(*_: object) -> Principal:
        raise error

    app = Reader()
    done = exchange(app, [b"a"], whole=False, make=partial(guard, authenticate=refuse))
    assert (done.status, app.called) == (status, False)


def test_every_request_is_authenticated_so_a_revoked_key_is_refused_at_once() -> None:
    revoked = False

    def check(*_: object) -> Principal:
        if revoked:
            raise NotAuthenticated("The API key is not valid.")
        return CLINIC

    app = guard(Reader(), authenticate=check)
    assert asyncio.run(Exchange(app, [b"a"]).run()).status == 200
    revoked = True
    assert asyncio.run(Exchange(app, [b"a"]).run()).status == 401


def test_the_rest_of_a_refused_body_is_drained() -> None:
    done = exchange(Reader(), [b"a" * 999] * 5)
    assert done.status == 413
    assert done.taken == 5


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/sessions"), ("GET", "/healthz"), ("GET", "/docs")]
)
def test_login_health_and_reference_need_no_authentication(method: str, path: str) -> None:
    def fail(*_: object) -> Principal:
        raise AssertionError("authenticated")

    make = partial(guard, authenticate=fail)
    assert exchange(Reader(), [b"{}"], method=method, path=path, make=make).status == 200


def by_token(_services: object, authorization: str | None) -> Principal:
    """Return a clinic for each token."""
    number = int((authorization or "").removeprefix("Bearer "))
    return Principal("clinic", UUID(int=number), "A clinic", "x")


class LargeBodiesHeld(Reader):
    """Never answers a body of nearly the largest size."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        reader = Reader()

        async def send_unless_large(message: Any) -> None:
            if len(reader.read) >= LIMIT - 100:
                await asyncio.Event().wait()
            await send(message)

        await reader(scope, receive, send_unless_large)


async def begin(exchange: Exchange) -> asyncio.Task[Exchange]:
    """Begin an exchange and let it go as far as it does by itself."""
    task = asyncio.create_task(exchange.run())
    for _ in range(20):
        await asyncio.sleep(0.001)
    return task


def test_bodies_that_are_declared_and_do_not_arrive_keep_nobody_out() -> None:
    async def many() -> None:
        app = guard(Reader(), authenticate=by_token)
        waiting = [
            await begin(Exchange(app, [b"a"], whole=False, token="1", length=LIMIT))
            for _ in range(40)
        ]
        for token in ("1", "2"):
            done = await Exchange(app, [b"a" * LIMIT], token=token, length=LIMIT).run()
            assert done.status == 200
        for task in waiting:
            task.cancel()

    asyncio.run(many())


def test_a_clinic_that_fills_its_share_is_busy_and_others_are_not() -> None:
    async def many() -> None:
        app = guard(LargeBodiesHeld(), authenticate=by_token)
        holding = [
            await begin(Exchange(app, [b"a" * LIMIT], token="1", length=LIMIT))
            for _ in range(CLINIC_SHARE)
        ]
        # A declared length is refused before it is sent, an unknown one where the room ends.
        for length in (2, None):
            refused = await Exchange(app, [b"a"], token="1", length=length).run()
            assert (refused.status, refused.problem["code"]) == (503, "busy")
            assert int(refused.headers[b"retry-after"]) > 0
        assert (await Exchange(app, [b"a" * 500], token="2", length=500).run()).status == 200
        # Requests without photographs go on.
        small = Exchange(app, [b"{}"], path="/v1/worklist/claims", token="1", length=2)
        assert (await small.run()).status == 200
        for task in holding:
            assert not task.done()
            task.cancel()

    asyncio.run(many())


def test_a_body_that_finds_no_room_midway_is_answered_and_drained() -> None:
    async def many() -> None:
        app = guard(LargeBodiesHeld(), authenticate=by_token)
        holding = [
            await begin(Exchange(app, [b"a" * size], token="1", length=size))
            for size in [*[LIMIT] * (CLINIC_SHARE - 1), LIMIT - 100]
        ]
        refused = await Exchange(app, [b"a" * 60] * 5, token="1").run()
        assert (refused.status, refused.problem["code"]) == (503, "busy")
        assert refused.taken == 5
        for task in holding:
            task.cancel()

    asyncio.run(many())


def test_trace_is_refused_without_a_key_and_reflects_nothing() -> None:
    done = exchange(Reader(), method="TRACE", path="/v1/cases")
    assert done.status == 405
    assert b"Bearer" not in str(done.sent).encode()
