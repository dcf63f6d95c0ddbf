"""Conditional requests: a client that polls over a slow line is not sent what it already has."""

import hashlib

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response


def conditional_response(request: Request, view: BaseModel) -> Response:
    """Return `view` as JSON with an ETag, or 304 if the request's If-None-Match holds that tag."""
    body = view.model_dump_json().encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
    if _matches(etag, request.headers.get("if-none-match")):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def _matches(etag: str, if_none_match: str | None) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return etag in tags or "*" in tags
