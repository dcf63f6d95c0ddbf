"""A store that hangs holds up uploads and pictures, and nothing else."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest
from tests.integration.api.conftest import PASSWORD, Served, log_in
from tests.photographs import jpeg

UPLOADS = 10
"""More than any kind of request has threads."""

PROMPTLY = 1.0
"""Seconds; on a quiet machine the answers take milliseconds. The store hangs for longer."""


@contextmanager
def hanging_server() -> Iterator[str]:
    """Listen and never answer, not even in the handshake of TLS."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def hanging(serve_with: Callable[..., Served], monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """An API whose image store accepts connections and never answers."""
    with hanging_server() as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        yield serve_with(store_url="s3://images/x", connect_timeout=1)


def seconds(request: Callable[[], httpx.Response], status: int) -> float:
    began = time.monotonic()
    assert request().status_code == status
    return time.monotonic() - began


def test_a_store_that_hangs_leaves_worklist_logins_and_health_alone(hanging: Served) -> None:
    token = log_in(hanging, "m.okafor")
    answers: list[int] = []

    def send() -> None:
        with suppress(httpx.TimeoutException):
            answers.append(hanging.send(jpeg()).status_code)

    uploads = [threading.Thread(target=send) for _ in range(UPLOADS)]
    with hanging.client(token) as clinician:
        # The first check of the store has no result before it.
        assert clinician.get("/readyz").status_code == 503
        for upload in uploads:
            upload.start()
        time.sleep(0.5)
        login = {"username": "m.okafor", "password": PASSWORD}
        taken = {
            "worklist": seconds(lambda: clinician.get("/v1/worklist"), 200),
            "login": seconds(lambda: clinician.post("/v1/sessions", json=login), 201),
            "ready": seconds(lambda: clinician.get("/readyz"), 503),
            "metrics": seconds(lambda: clinician.get("/metrics"), 200),
        }
        assert answers == []
    for upload in uploads:
        upload.join()
    assert {what: s for what, s in taken.items() if s > PROMPTLY} == {}
    assert set(answers) <= {503}
