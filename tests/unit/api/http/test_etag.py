"""Entity tags, by the rules of RFC 9110."""

from typing import Any

import pytest
from pydantic import BaseModel
from starlette.requests import Request

from dermtriage_api.http.etag import revalidated


class View(BaseModel):
    state: str


def ask(state: str, if_none_match: str | None = None) -> Any:
    headers = [(b"if-none-match", if_none_match.encode())] if if_none_match else []
    request = Request({"type": "http", "method": "GET", "headers": headers})
    return revalidated(request, View(state=state))


TAG = ask("open").headers["etag"]


@pytest.mark.parametrize("known", [TAG, f"W/{TAG}", f'"x", {TAG}', "*"])
def test_what_is_known_is_not_sent(known: str) -> None:
    response = ask("open", known)
    assert (response.status_code, response.body) == (304, b"")
    assert response.headers["etag"] == TAG


@pytest.mark.parametrize("known", [None, '"x"', TAG.strip('"'), "", ask("decided").headers["etag"]])
def test_what_is_not_known_is_sent(known: str | None) -> None:
    response = ask("open", known)
    assert (response.status_code, response.body) == (200, b'{"state":"open"}')
    # No shared cache may keep what one clinic was told.
    assert response.headers["cache-control"] == "private, no-cache"
