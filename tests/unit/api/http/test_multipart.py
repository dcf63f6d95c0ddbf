"""A referral is read out of its body however the body is cut into pieces."""

import asyncio
import json
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from dermtriage_api.http import multipart
from dermtriage_api.http.multipart import Referral
from dermtriage_api.http.problems import Refusal

BOUNDARY = b"a-boundary"
METADATA = json.dumps({"images": [{"sha256": "0" * 64}]}).encode()
services: Any = SimpleNamespace(settings=SimpleNamespace(max_image_bytes=100))


def body(*files: bytes) -> bytes:
    parts = [(b'name="metadata"', METADATA)]
    parts += [(b'name="images"; filename="x"', data) for data in files]
    return (
        b"".join(
            b"--%b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (BOUNDARY, said, data)
            for said, data in parts
        )
        + b"--%b--\r\n" % BOUNDARY
    )


def read(pieces: list[bytes]) -> Referral:
    left = list(pieces)

    async def receive() -> Any:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    content_type = b"multipart/form-data; boundary=" + BOUNDARY
    headers = [(b"content-type", content_type), (b"idempotency-key", b"key")]
    scope = {"type": "http", "method": "POST", "headers": headers}
    clinic: Any = None
    return asyncio.run(multipart._referral(Request(scope, receive), clinic, services))


@given(
    files=st.lists(st.binary(max_size=100), min_size=1, max_size=3),
    cuts=st.lists(st.integers(0, 600), max_size=8),
)
def test_pieces_do_not_matter(files: list[bytes], cuts: list[int]) -> None:
    whole = body(*files)
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    pieces = [whole[start:end] for start, end in pairwise(edges)]

    referral = read(pieces)

    assert referral.files == files
    assert referral.idempotency_key == "key"
    assert referral.metadata.images[0].sha256 == "0" * 64


@given(cut=st.integers(0, len(body(b"some bytes")) - 3))
def test_no_beginning_of_a_body_passes_for_the_whole(cut: int) -> None:
    with pytest.raises(Refusal) as caught:
        read([body(b"some bytes")[:cut]])
    assert (caught.value.status_code, caught.value.code) == (400, "malformed_multipart")


@given(noise=st.binary(max_size=300))
def test_noise_is_refused_and_nothing_worse(noise: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        read([noise])
    assert caught.value.status_code == 400


def test_a_file_is_refused_at_its_first_byte_too_many() -> None:
    assert read([body(b"x" * 100)]).files == [b"x" * 100]
    with pytest.raises(Refusal) as caught:
        read([body(b"x" * 101)])
    assert (caught.value.status_code, caught.value.errors[0].field) == (413, "images[0]")
