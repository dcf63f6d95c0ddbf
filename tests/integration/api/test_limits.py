"""Bodies that are too large, too slow or cut off, as they come over a real socket."""

import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPResponse
from typing import Any

from sqlalchemy import text
from tests.photographs import jpeg, sha256

BOUNDARY = "a-boundary"


@contextmanager
def talk(api) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", api.port), timeout=20) as connection:
        yield connection


def head(token: str, length: int | None, path: str = "/v1/cases") -> bytes:
    framing = f"Content-Length: {length}" if length is not None else "Transfer-Encoding: chunked"
    return (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        f"Idempotency-Key: k\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"{framing}\r\n\r\n"
    ).encode()


def case(*files: bytes) -> bytes:
    images = [{"sha256": sha256(data)} for data in files]
    parts = [("metadata", json.dumps({"images": images}).encode())]
    parts += [("images", data) for data in files]
    out = b""
    for name, content in parts:
        out += (
            f"--{BOUNDARY}\r\nContent-Disposition: form-data;"
            f' name="{name}"; filename="x"\r\n\r\n'.encode()
            + content
            + b"\r\n"
        )
    return out + f"--{BOUNDARY}--\r\n".encode()


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def answer_of(connection: socket.socket) -> tuple[HTTPResponse, dict[str, Any]]:
    response = HTTPResponse(connection)
    response.begin()
    return response, json.loads(response.read())


def assert_closed(connection: socket.socket) -> None:
    """The server ends the conversation; a reset is an end too."""
    with suppress(ConnectionResetError):
        assert connection.recv(1) == b""


def test_a_body_that_says_it_is_too_large_is_not_read(serve_with) -> None:
    api = serve_with(max_request_bytes=100_000)
    with talk(api) as connection:
        connection.sendall(head(api.clinic_key, 100_001))
        response, problem = answer_of(connection)
        assert (response.status, problem["code"]) == (413, "request_too_large")
        assert response.headers["connection"] == "close"
        assert_closed(connection)
    assert not any(api.left_behind().values())


def test_a_chunked_body_is_counted_as_it_comes(serve_with) -> None:
    api = serve_with(max_request_bytes=100_000)
    with talk(api) as connection:
        connection.sendall(head(api.clinic_key, None))
        body = case(jpeg() + bytes(100_000))
        connection.sendall(chunk(body[:60_000]) + chunk(body[60_000:]))
        response, problem = answer_of(connection)
        assert (response.status, problem["code"]) == (413, "request_too_large")
    assert not any(api.left_behind().values())


def test_a_chunked_body_within_the_limits_is_taken(api) -> None:
    with talk(api) as connection:
        body = case(jpeg())
        connection.sendall(head(api.clinic_key, None))
        connection.sendall(chunk(body[:100]) + chunk(body[100:]) + b"0\r\n\r\n")
        response, _ = answer_of(connection)
        assert response.status == 202


def test_one_large_file_is_named(serve_with) -> None:
    api = serve_with(max_image_bytes=50_000)
    answer = api.send(jpeg(), jpeg() + bytes(50_000))
    assert (answer.status_code, answer.json()["code"]) == (413, "file_too_large")
    assert answer.json()["field"] == "images[1]"
    assert not any(api.left_behind().values())


def test_a_large_json_body_is_refused(api, clinician) -> None:
    answer = clinician.post("/v1/worklist/claims", json={"x": "y" * 70_000})
    assert (answer.status_code, answer.json()["code"]) == (413, "request_too_large")


def test_a_slow_body_is_given_up(serve_with) -> None:
    api = serve_with(body_timeout=0.5)
    with talk(api) as connection:
        connection.sendall(head(api.clinic_key, 5000) + case(jpeg())[:1000])
        response, problem = answer_of(connection)
        assert (response.status, problem["code"]) == (408, "body_too_slow")
        assert_closed(connection)
    assert not any(api.left_behind().values())


def test_a_stranger_is_answered_before_the_body(api) -> None:
    with talk(api) as connection:
        connection.sendall(head("dtc_0_wrong", 60_000_000))
        response, problem = answer_of(connection)
        assert (response.status, problem["code"]) == (401, "invalid_api_key")
        assert_closed(connection)


def test_the_wrong_role_is_answered_before_the_body(api, clinician) -> None:
    with talk(api) as connection:
        token = clinician.headers["authorization"].removeprefix("Bearer ")
        connection.sendall(head(token, 60_000_000))
        response, problem = answer_of(connection)
        assert (response.status, problem["code"]) == (403, "clinic_only")
        assert_closed(connection)


def test_a_client_that_expects_to_be_asked_is_asked(api) -> None:
    body = case(jpeg())
    with talk(api) as connection:
        asking = head(api.clinic_key, len(body))[:-2] + b"Expect: 100-continue\r\n\r\n"
        connection.sendall(asking)
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        response, _ = answer_of(connection)
        assert response.status == 202


def test_a_client_that_goes_away_leaves_nothing(api) -> None:
    body = case(jpeg())
    with talk(api) as connection:
        connection.sendall(head(api.clinic_key, len(body)) + body[:-50])
        # A reset, as when a modem drops.
        linger = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    assert api.send(jpeg(1), key="k").status_code == 202
    assert api.left_behind()["cases"] == 1


def test_no_connection_to_the_database_is_held_while_a_body_arrives(serve_with) -> None:
    api = serve_with(database_pool_size=1)
    body = case(jpeg())
    with talk(api) as slow:
        slow.sendall(head(api.clinic_key, len(body)) + body[:-50])
        assert api.send(jpeg(1)).status_code == 202
        slow.sendall(body[-50:])
        response, _ = answer_of(slow)
        assert response.status == 202


def test_the_same_request_at_the_same_time(api, sessions) -> None:
    answers = []
    with sessions() as blocker:
        blocker.execute(text("LOCK TABLE intake_requests IN EXCLUSIVE MODE"))
        first = threading.Thread(target=lambda: answers.append(api.send(jpeg(), key="once")))
        first.start()
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        while not blocker.scalar(waiting):
            pass
        second = api.send(jpeg(), key="once")
        assert (second.status_code, second.json()["code"]) == (409, "request_in_progress")
        blocker.rollback()
    first.join()

    again = api.send(jpeg(), key="once")
    assert [answers[0].status_code, again.status_code] == [202, 202]
    assert answers[0].json() == again.json()
    assert api.left_behind()["cases"] == 1
