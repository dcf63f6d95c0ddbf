"""The multipart body of an upload is read the same however it is split into chunks."""

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermtriage_api.http.multipart import read_parts
from dermtriage_api.http.problems import HTTPProblem

BOUNDARY = "a-boundary"
METADATA = b'{"images": []}'
MAX_IMAGE_BYTES = 100


def body(*files: bytes) -> bytes:
    parts = [(b'name="metadata"', METADATA)]
    parts += [(b'name="images"; filename="x"', data) for data in files]
    boundary = BOUNDARY.encode()
    return (
        b"".join(
            b"--%b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n"
            % (boundary, parameters, content)
            for parameters, content in parts
        )
        + b"--%b--\r\n" % boundary
    )


def read(chunks: list[bytes]) -> tuple[bytes, list[bytes]]:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    content_type = f"multipart/form-data; boundary={BOUNDARY}"
    return asyncio.run(read_parts(content_type, stream(), max_image_bytes=MAX_IMAGE_BYTES))


@given(
    files=st.lists(st.binary(max_size=100), min_size=1, max_size=3),
    cuts=st.lists(st.integers(0, 600), max_size=8),
)
def test_chunk_boundaries_do_not_matter(files: list[bytes], cuts: list[int]) -> None:
    whole = body(*files)
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    chunks = [whole[start:end] for start, end in pairwise(edges)]
    assert read(chunks) == (METADATA, files)


@given(cut=st.integers(0, len(body(b"some bytes")) - 3))
def test_a_truncated_body_is_refused(cut: int) -> None:
    with pytest.raises(HTTPProblem) as caught:
        read([body(b"some bytes")[:cut]])
    assert (caught.value.status_code, caught.value.code) == (400, "malformed_multipart")


@given(noise=st.binary(max_size=300))
def test_random_bytes_are_refused(noise: bytes) -> None:
    with pytest.raises(HTTPProblem) as caught:
        read([noise])
    assert caught.value.status_code == 400


def test_a_file_is_refused_at_its_first_byte_too_many() -> None:
    largest = b"x" * MAX_IMAGE_BYTES
    assert read([body(largest)]) == (METADATA, [largest])
    with pytest.raises(HTTPProblem) as caught:
        read([body(largest + b"x")])
    assert (caught.value.status_code, caught.value.errors[0].field) == (413, "images[0]")


@pytest.mark.parametrize(
    "after_boundary",
    [b" " * 8_000_000, b"\t" * 8_000_000 + b"\r\n", b"x" + b"\r\n--a-boundaryx" * 500_000],
    ids=["blanks", "tabs", "boundaries that go on"],
)
def test_what_follows_a_boundary_costs_no_time(after_boundary: bytes) -> None:
    whole = body().removesuffix(b"--\r\n") + after_boundary
    began = time.process_time()
    with pytest.raises(HTTPProblem) as caught:
        read([whole[at : at + 65536] for at in range(0, len(whole), 65536)])
    assert caught.value.code == "malformed_multipart"
    assert time.process_time() - began < 0.3


def test_headers_of_a_part_have_a_limit() -> None:
    with pytest.raises(HTTPProblem) as caught:
        read([b"--a-boundary\r\nX: " + b"x" * 5000])
    assert caught.value.code == "malformed_multipart"


def test_what_follows_the_last_boundary_is_ignored() -> None:
    assert read([body(b"one"), b"an epilogue"]) == (METADATA, [b"one"])


def test_a_boundary_within_a_part_s_line_is_data() -> None:
    data = b"x--a-boundary--\r\n--a-bound"
    assert read([body(data)]) == (METADATA, [data])
