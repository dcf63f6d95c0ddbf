"""Sending referrals over a line that fails."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.parser import BytesParser
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermtriage.core.enums import ImageType
from dermtriage.core.errors import DermtriageError, NotAuthenticated, Unavailable
from dermtriage_cli.submission.referral import Photograph, Referral, idempotency_key
from dermtriage_cli.submission.retries import Retries
from dermtriage_cli.submission.sender import send_all, send_case

RECEIPT = {"case_id": "a case", "images": []}
REFERRAL = Referral("mole", (Photograph(lambda: b"bytes"),), {"sex": "male"})

Response = httpx.Response | httpx.TransportError
Handler = Callable[[httpx.Request], httpx.Response]


class Server:
    """Gives prepared responses in order, and keeps the requests."""

    def __init__(self, *responses: Response) -> None:
        self.responses = list(responses)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        response = self.responses.pop(0)
        if isinstance(response, httpx.TransportError):
            raise response
        return response


def client(handler: Handler) -> httpx.Client:
    return httpx.Client(base_url="http://clinic.test", transport=httpx.MockTransport(handler))


def accepted() -> httpx.Response:
    return httpx.Response(202, json=RECEIPT)


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    body = {"detail": f"It is {code}.", "code": code, "remedy": "Do better."}
    return httpx.Response(status, json=body, headers=headers)


def patient(pauses: list[float], attempts: int = 8) -> Retries:
    return Retries(attempts=attempts, sleep=pauses.append, jitter=lambda: 1.0)


def parts(request: httpx.Request) -> list[Message]:
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    payload = BytesParser().parsebytes(head + request.content).get_payload()
    assert isinstance(payload, list)
    return payload


def described(request: httpx.Request) -> dict[str, Any]:
    content = parts(request)[0].get_payload(decode=True)
    assert isinstance(content, bytes)
    metadata: dict[str, Any] = json.loads(content)
    return metadata


def test_a_referral_is_sent_as_the_api_wants_it() -> None:
    server = Server(accepted())
    photographs = (
        Photograph(lambda: b"one"),
        Photograph(lambda: b"two", ImageType.OVERVIEW),
    )
    with client(server) as http:
        receipt = send_case(http, Referral("/home/jane doe.jpg", photographs, {"sex": "female"}))
    assert receipt == RECEIPT
    (request,) = server.requests
    assert (request.method, request.url.path) == ("POST", "/v1/cases")
    assert described(request) == {
        "sex": "female",
        "images": [
            {
                "image_type": "dermoscopic",
                "sha256": "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
            },
            {
                "image_type": "overview",
                "sha256": "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3",
            },
        ],
    }
    assert [part.get_payload(decode=True) for part in parts(request)[1:]] == [b"one", b"two"]
    assert b"jane" not in request.content


def test_the_idempotency_key_depends_on_the_content_alone() -> None:
    keys = []
    for name, metadata in [
        ("a", {"sex": "male", "age_approx": 45}),
        ("b", {"age_approx": 45, "sex": "male"}),
        ("a", {"sex": "male", "age_approx": 50}),
    ]:
        server = Server(accepted())
        with client(server) as http:
            send_case(http, Referral(name, (Photograph(lambda: b"bytes"),), metadata))
        keys.append(server.requests[0].headers["idempotency-key"])
    assert keys[0] == keys[1] != keys[2]


def test_the_idempotency_key_is_the_same_in_every_version() -> None:
    key = idempotency_key({"sex": "male", "images": [{"sha256": "é"}]})
    assert key == "3bfbc63bfed750c197ebd3398c55cda0a70a8fc4329814d6d1ceee1376df0b65"


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut"),
        problem(408, "body_too_slow"),
        problem(429, "busy"),
        problem(503, "store_unavailable"),
        httpx.Response(502, text="<html>"),
    ],
    ids=str,
)
def test_a_temporary_failure_repeats_the_same_request(failure: Response) -> None:
    server, pauses = Server(failure, failure, accepted()), list[float]()
    with client(server) as http:
        assert send_case(http, REFERRAL, patient(pauses)) == RECEIPT
    assert pauses == [0.5, 1.0]
    assert len({request.headers["idempotency-key"] for request in server.requests}) == 1
    assert len({json.dumps(described(request)) for request in server.requests}) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 415, 422])
def test_a_refusal_is_final(status: int) -> None:
    server = Server(problem(status, "not_this"))
    with client(server) as http, pytest.raises(DermtriageError) as caught:
        send_case(http, REFERRAL, patient([]))
    assert caught.value.code == "not_this"
    assert str(caught.value) == "It is not_this. Do better."


def test_the_attempts_are_limited() -> None:
    pauses: list[float] = []
    server = Server(*[httpx.ConnectError("refused")] * 8)
    with client(server) as http, pytest.raises(Unavailable, match="cannot be reached"):
        send_case(http, REFERRAL, patient(pauses))
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30]


@pytest.mark.parametrize(
    ("header", "least"),
    [("7", 7.0), ("0", 0.5), ("soon", 0.5), (3600, 3500.0), (-60, 0.5)],
)
def test_the_server_can_demand_a_longer_pause(header: str | int, least: float) -> None:
    if isinstance(header, int):
        header = format_datetime(datetime.now(UTC) + timedelta(seconds=header), usegmt=True)
    pauses: list[float] = []
    server = Server(problem(503, "unavailable", **{"Retry-After": header}), accepted())
    with client(server) as http:
        send_case(http, REFERRAL, patient(pauses))
    assert least <= pauses[0] <= least + 100


@given(
    attempt=st.integers(0, 100),
    jitter=st.floats(0, 1),
    retry_after=st.none() | st.floats(0, 1000),
)
def test_pauses_grow_within_bounds(attempt: int, jitter: float, retry_after: float | None) -> None:
    retries = Retries(jitter=lambda: jitter)
    pause = retries.pause(attempt, retry_after)
    backoff = min(30.0, 0.5 * 2.0**attempt)
    assert backoff / 2 <= pause <= max(backoff, retry_after or 0)
    assert pause >= (retry_after or 0)


def test_a_failure_does_not_stop_the_others(tmp_path: Path) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        bad = described(request).get("sex") == "bad"
        return problem(422, "bad") if bad else accepted()

    gone = Photograph((tmp_path / "gone.jpg").read_bytes)
    referrals = [
        REFERRAL,
        Referral("refused", REFERRAL.photographs, {"sex": "bad"}),
        Referral("gone", (gone,)),
        Referral("last", REFERRAL.photographs),
    ]
    with client(respond) as http:
        done = {one.referral.name: one for one in send_all(http, referrals, concurrency=2)}
    assert {name for name, one in done.items() if one.receipt} == {"mole", "last"}
    refused, unread = done["refused"].error, done["gone"].error
    assert refused is not None
    assert refused.code == "bad"
    assert "cannot be read" in str(unread)


def test_a_rejected_api_key_stops_everything() -> None:
    begun: list[int] = []

    def referrals() -> Iterator[Referral]:
        for number in range(100):
            begun.append(number)
            yield REFERRAL

    with (
        client(lambda _: problem(401, "invalid_api_key")) as http,
        pytest.raises(NotAuthenticated),
    ):
        list(send_all(http, referrals(), concurrency=2))
    assert len(begun) <= 4
