"""The request that creates a case becomes its key, its metadata and its files."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request

from dermtriage_api.http.case_upload import CaseUpload, read_case_upload
from dermtriage_api.http.problems import HTTPProblem

services: Any = SimpleNamespace(settings=SimpleNamespace(max_image_bytes=100))


def read(metadata: dict[str, Any], key: str) -> CaseUpload:
    body = (
        '--x\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n'
        f"{json.dumps(metadata)}\r\n"
        '--x\r\nContent-Disposition: form-data; name="images"\r\n\r\nsome bytes\r\n--x--\r\n'
    ).encode()

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [
        (b"content-type", b"multipart/form-data; boundary=x"),
        (b"idempotency-key", key.encode()),
    ]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    clinic: Any = None
    return asyncio.run(read_case_upload(request, clinic, services))


def test_key_metadata_and_files_are_read() -> None:
    upload = read({"images": [{"sha256": "0" * 64}], "age_approx": 55}, " key ")
    assert upload.idempotency_key == "key"
    assert upload.metadata.images[0].sha256 == "0" * 64
    assert upload.files == [b"some bytes"]


def test_invalid_metadata_names_the_field() -> None:
    with pytest.raises(HTTPProblem) as caught:
        read({"images": [{"sha256": "x"}]}, "key")
    assert (caught.value.status_code, caught.value.code) == (422, "invalid_request")
    assert caught.value.errors[0].field == "metadata.images[0].sha256"


@pytest.mark.parametrize(
    ("key", "code"),
    [("", "idempotency_key_missing"), ("k" * 256, "idempotency_key_invalid")],
)
def test_an_invalid_key_is_refused_before_the_body_is_read(key: str, code: str) -> None:
    with pytest.raises(HTTPProblem) as caught:
        read({}, key)
    assert (caught.value.status_code, caught.value.code) == (400, code)
