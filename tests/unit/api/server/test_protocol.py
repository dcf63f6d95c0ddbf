"""What the server refuses of a connection, with an application that only answers."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import uvicorn

from dermtriage_api.server.protocol import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_PIPELINED,
    BoundedHttpProtocol,
)

GET = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE = 200_000
"""Bytes of an answer that does not fit into the buffers of a connection that nobody reads."""


class Impatient(BoundedHttpProtocol):
    head_timeout = 0.3


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the path, and with many bytes at ``/large``."""
    body = b"x" * LARGE if scope["path"] == "/large" else scope["path"].encode()
    length = str(len(body)).encode()
    start = {"type": "http.response.start", "status": 200}
    await send({**start, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    with serve(BoundedHttpProtocol, request.param) as port:
        yield port


@contextmanager
def serve(protocol: type[BoundedHttpProtocol], loop: Any = "asyncio") -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener, serving(listener, protocol, loop):
        yield listener.getsockname()[1]


@contextmanager
def serving(
    listener: socket.socket, protocol: type[BoundedHttpProtocol], loop: Any = "asyncio"
) -> Iterator[None]:
    config = uvicorn.Config(
        answer, http=protocol, ws="none", lifespan="off", log_config=None, loop=loop
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield
    server.should_exit = True
    thread.join(10)


@contextmanager
def connect(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        yield connection


def read_all(connection: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    received = b""
    with suppress(ConnectionResetError):
        while data := connection.recv(65536):
            received += data
    return received


def answers_promptly(port: int) -> bool:
    began = time.monotonic()
    with connect(port) as connection:
        connection.sendall(GET % 1)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    return time.monotonic() - began < 1


def test_a_head_below_the_limit_is_read(port: int) -> None:
    with connect(port) as connection:
        value = b"x" * (MAX_HEAD_BYTES - 100)
        connection.sendall(b"GET /9 HTTP/1.1\r\nConnection: close\r\nX: " + value + b"\r\n\r\n")
        assert read_all(connection).endswith(b"/9")


@pytest.mark.parametrize(
    "head",
    [
        b"X: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n",
        b"x: y\r\n" * (MAX_HEADERS + 1) + b"\r\n",
        # Not ended, so the parser would go on reading.
        b"X: " + b"x" * MAX_HEAD_BYTES,
    ],
    ids=["long", "many", "endless"],
)
def test_a_head_that_is_too_large_is_refused(port: int, head: bytes) -> None:
    with connect(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n" + head)
        answered = read_all(connection)
    assert answered.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b"\r\nX-Content-Type-Options: nosniff\r\n" in answered


def test_a_head_of_many_megabytes_is_not_read(port: int) -> None:
    sent = 0
    with connect(port) as connection, suppress(OSError):
        connection.sendall(b"GET / HTTP/1.1\r\nX: ")
        for _ in range(100):
            sent += connection.send(b"x" * 2**20)
    # Some megabytes fit into the buffers of the two sockets.
    assert sent < 30 * 2**20


def test_what_is_no_http_gets_a_refusal_with_safe_headers(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(b"\x16\x03\x01\r\n\r\n")
        answered = read_all(connection)
    assert answered.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\nCache-Control: no-store\r\n" in answered


def test_a_few_requests_at_once_are_answered_in_turn(port: int) -> None:
    with connect(port) as connection:
        requests = [GET % number for number in range(MAX_PIPELINED)]
        connection.sendall(b"".join(requests) + b"GET /last HTTP/1.1\r\nConnection: close\r\n\r\n")
        answered = read_all(connection)
    paths = [part.rpartition(b"\r\n\r\n")[2] for part in answered.split(b"HTTP/1.1 200 OK")[1:]]
    assert paths == [*(b"/%d" % number for number in range(MAX_PIPELINED)), b"/last"]


def test_many_requests_with_unread_answers_hold_nobody_up(port: int) -> None:
    flood = b"GET /large HTTP/1.1\r\n\r\n" * 150_000
    for _ in range(5):
        with connect(port) as connection:
            with suppress(ConnectionResetError, BrokenPipeError):
                connection.sendall(flood)
            assert answers_promptly(port)
            # The server has closed the connection: else this would time out.
            assert read_all(connection).count(b"HTTP/1.1 200 OK") <= MAX_PIPELINED + 1


def test_garbage_after_a_request_is_not_taken_for_its_answer(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(GET % 1 + b"\x00garbage\r\n\r\n")
        assert b" 400 " not in read_all(connection)


def test_a_head_that_does_not_end_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    with serve(Impatient) as port:
        for begun in (b"", b"GET / HT", GET % 1 + b"GET / HT"):
            with connect(port) as connection:
                began = time.monotonic()
                connection.sendall(begun)
                read_all(connection)
                assert time.monotonic() - began < 6.5
        with connect(port) as connection:
            connection.sendall(GET % 1)
            connection.recv(1000)
            time.sleep(0.1)
            connection.sendall(b"GET /2 HT")
            began = time.monotonic()
            read_all(connection)
            assert time.monotonic() - began < 2


def test_an_answer_in_two_parts_does_not_wait_for_an_acknowledgement() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # As uvicorn takes over a socket by its number.
        inherited = socket.fromfd(listener.fileno(), socket.AF_UNIX, socket.SOCK_STREAM)
        with inherited, serving(inherited, BoundedHttpProtocol), socket.socket() as connection:
            connection.connect(listener.getsockname())
            began = time.monotonic()
            for _ in range(50):
                connection.sendall(GET % 7)
                received = b""
                while not received.endswith(b"/7"):
                    received += connection.recv(1000)
            assert time.monotonic() - began < 1
