"""Conditional requests, by the rules of RFC 9110."""

from typing import Any

import pytest
from pydantic import BaseModel
from starlette.requests import Request

from dermtriage_api.http.etag import conditional_response


class View(BaseModel):
    state: str


def respond(state: str, if_none_match: str | None = None) -> Any:
    headers = [(b"if-none-match", if_none_match.encode())] if if_none_match else []
    request = Request({"type": "http", "method": "GET", "headers": headers})
    return conditional_response(request, View(state=state))


TAG = respond("open").headers["etag"]


@pytest.mark.parametrize("tag", [TAG, f"W/{TAG}", f'"x", {TAG}', "*"])
def test_a_matching_tag_gets_304(tag: str) -> None:
    response = respond("open", tag)
    assert (response.status_code, response.body) == (304, b"")
    assert response.headers["etag"] == TAG


@pytest.mark.parametrize(
    "tag", [None, '"x"', TAG.strip('"'), "", respond("decided").headers["etag"]]
)
def test_another_tag_gets_the_body(tag: str | None) -> None:
    response = respond("open", tag)
    assert (response.status_code, response.body) == (200, b'{"state":"open"}')
    # No shared cache may keep the data of one clinic.
    assert response.headers["cache-control"] == "private, no-cache"
