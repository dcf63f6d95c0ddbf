"""Descriptions of error and 304 responses, which FastAPI cannot derive from a return type."""

from typing import Any

from dermtriage_api.http.problems import MEDIA_TYPE

Responses = dict[int | str, dict[str, Any]]
"""Descriptions of responses by status, as FastAPI's routes take them."""

NOT_MODIFIED: Responses = {
    304: {"description": "Not modified: the response with this ETag is current."}
}

_ERRORS: dict[int, tuple[str, str, str]] = {
    400: (
        "Malformed request",
        "malformed_multipart",
        "The multipart body is malformed or ends early.",
    ),
    401: (
        "Authentication failed",
        "not_authenticated",
        "The request has no API key and no session token.",
    ),
    403: (
        "Not allowed for this kind of account",
        "clinician_only",
        "Only a clinician may do this.",
    ),
    404: ("Not found, or another clinic's", "not_found", "There is no such case."),
    408: (
        "Request timeout",
        "body_too_slow",
        "The request's body did not arrive within 120 seconds.",
    ),
    409: (
        "Conflict with the current state",
        "claim_lost",
        "Your claim on this case is no longer valid.",
    ),
    413: ("Request too large", "request_too_large", "The request is larger than 67108864 bytes."),
    415: ("Unsupported media type", "unsupported_media_type", "The file is not a JPEG or PNG."),
    422: ("Validation failed", "invalid_request", "limit: Input should be greater than 0."),
    429: ("Too many requests", "too_many_logins", "Too many logins with this name have failed."),
    503: ("Temporarily unavailable", "database_unavailable", "The database cannot be reached."),
}
"""Description, example code and example detail of each error status."""


def errors(*statuses: int) -> Responses:
    """Return the descriptions of these error responses for a route."""
    return {status: _error(status) for status in sorted(statuses)}


def _error(status: int) -> dict[str, Any]:
    description, code, detail = _ERRORS[status]
    problem = {
        "type": f"urn:dermtriage:problem:{code}",
        "title": description,
        "status": status,
        "detail": detail,
        "code": code,
    }
    response: dict[str, Any] = {
        "description": description,
        "content": {
            MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": problem}
        },
    }
    if status in {429, 503}:
        response["headers"] = {
            "Retry-After": {
                "description": "Seconds to wait before the request is sent again.",
                "schema": {"type": "string"},
            }
        }
    return response
