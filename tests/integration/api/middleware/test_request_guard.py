"""Bodies that are too large, too slow or cut off, over a real socket."""

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPResponse
from typing import Any

from tests.photographs import jpeg, sha256

BOUNDARY = "a-boundary"


@contextmanager
def connect(api) -> Iterator[socket.socket]:
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


def response_of(connection: socket.socket) -> tuple[HTTPResponse, dict[str, Any]]:
    response = HTTPResponse(connection)
    response.begin()
    return response, json.loads(response.read())


def assert_closed(connection: socket.socket) -> None:
    """Check that the server closes the connection; a reset counts as well."""
    with suppress(ConnectionResetError):
        assert connection.recv(1) == b""


def test_a_declared_length_that_is_too_large_is_refused_unread(serve_with) -> None:
    api = serve_with(max_request_bytes=100_000)
    with connect(api) as connection:
        connection.sendall(head(api.clinic_key, 100_001))
        response, problem = response_of(connection)
        assert (response.status, problem["code"]) == (413, "request_too_large")
        assert response.headers["connection"] == "close"
        assert_closed(connection)
    assert not any(api.left_behind().values())


def test_a_chunked_body_that_is_too_large_is_refused(serve_with) -> None:
    api = serve_with(max_request_bytes=100_000)
    with connect(api) as connection:
        connection.sendall(head(api.clinic_key, None))
        body = case(jpeg() + bytes(100_000))
        connection.sendall(chunk(body[:60_000]) + chunk(body[60_000:]))
        response, problem = response_of(connection)
        assert (response.status, problem["code"]) == (413, "request_too_large")
    assert not any(api.left_behind().values())


def test_a_chunked_body_within_the_limits_is_accepted(api) -> None:
    with connect(api) as connection:
        body = case(jpeg())
        connection.sendall(head(api.clinic_key, None))
        connection.sendall(chunk(body[:100]) + chunk(body[100:]) + b"0\r\n\r\n")
        response, _ = response_of(connection)
        assert response.status == 202


def test_a_large_json_body_is_refused(api, clinician) -> None:
    answer = clinician.post("/v1/worklist/claims", json={"x": "y" * 70_000})
    assert (answer.status_code, answer.json()["code"]) == (413, "request_too_large")


def test_a_slow_body_times_out(serve_with) -> None:
    api = serve_with(body_timeout=0.5)
    with connect(api) as connection:
        connection.sendall(head(api.clinic_key, 5000) + case(jpeg())[:1000])
        response, problem = response_of(connection)
        assert (response.status, problem["code"]) == (408, "body_too_slow")
        assert_closed(connection)
    assert not any(api.left_behind().values())


def test_an_unauthenticated_request_is_answered_before_its_body(api) -> None:
    with connect(api) as connection:
        connection.sendall(head("dtc_0_wrong", 60_000_000))
        response, problem = response_of(connection)
        assert (response.status, problem["code"]) == (401, "invalid_api_key")
        assert_closed(connection)


def test_a_clinicians_upload_is_answered_before_its_body(api, clinician) -> None:
    with connect(api) as connection:
        token = clinician.headers["authorization"].removeprefix("Bearer ")
        connection.sendall(head(token, 60_000_000))
        response, problem = response_of(connection)
        assert (response.status, problem["code"]) == (403, "clinic_only")
        assert_closed(connection)


def test_expect_100_continue_is_answered(api) -> None:
    body = case(jpeg())
    with connect(api) as connection:
        request_head = head(api.clinic_key, len(body))[:-2] + b"Expect: 100-continue\r\n\r\n"
        connection.sendall(request_head)
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        response, _ = response_of(connection)
        assert response.status == 202


def test_a_client_that_disconnects_leaves_nothing_behind(api) -> None:
    body = case(jpeg())
    with connect(api) as connection:
        connection.sendall(head(api.clinic_key, len(body)) + body[:-50])
        # Close with a reset, as when a connection is lost.
        linger = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    assert api.send(jpeg(1), key="k").status_code == 202
    assert api.left_behind()["cases"] == 1


def test_no_database_connection_is_held_while_a_body_arrives(serve_with) -> None:
    api = serve_with(database_pool_size=1)
    body = case(jpeg())
    with connect(api) as slow:
        slow.sendall(head(api.clinic_key, len(body)) + body[:-50])
        assert api.send(jpeg(1)).status_code == 202
        slow.sendall(body[-50:])
        response, _ = response_of(slow)
        assert response.status == 202
