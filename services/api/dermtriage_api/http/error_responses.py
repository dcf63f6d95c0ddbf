"""Which response each exception gets: its status, code, headers and problem document."""

from collections.abc import Sequence
from http import HTTPStatus

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from dermtriage.core.errors import (
    Conflict,
    DermtriageError,
    IdempotencyMismatch,
    ImageRejected,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    ObjectInaccessible,
    RequestRejected,
    StoreMismatch,
    Unavailable,
)
from dermtriage.imaging.limits import ACCEPTED_MEDIA_TYPES
from dermtriage_api.http.problems import RETRY_AFTER, FieldProblem, HTTPProblem, render_problem

_STATUS: dict[type[DermtriageError], HTTPStatus] = {
    NotAuthenticated: HTTPStatus.UNAUTHORIZED,
    NotAllowed: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    IdempotencyMismatch: HTTPStatus.UNPROCESSABLE_ENTITY,
    RequestRejected: HTTPStatus.UNPROCESSABLE_ENTITY,
    ImageRejected: HTTPStatus.UNPROCESSABLE_ENTITY,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    StoreMismatch: HTTPStatus.SERVICE_UNAVAILABLE,
    ObjectInaccessible: HTTPStatus.SERVICE_UNAVAILABLE,
}

_ROUTING_ERRORS = {
    HTTPStatus.NOT_FOUND: ("not_found", "There is nothing at this address."),
    HTTPStatus.METHOD_NOT_ALLOWED: (
        "method_not_allowed",
        "This address does not support this method.",
    ),
}

EXPECTED_ERRORS: tuple[type[Exception], ...] = (
    *_STATUS,
    HTTPException,
    RequestValidationError,
    ClientDisconnect,
)
"""Exceptions with a response of their own. Any other is a fault of the server, and is logged."""


def error_response(error: Exception) -> Response:
    """Return the response to one of the `EXPECTED_ERRORS`."""
    if isinstance(error, RequestValidationError):
        error = validation_problem(error)
    if isinstance(error, HTTPProblem):
        return _from_problem(error)
    if isinstance(error, DermtriageError):
        return _from_domain(error)
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        if status is HTTPStatus.BAD_REQUEST:
            # FastAPI raises this for a JSON body that is not UTF-8.
            return _from_problem(_malformed_json())
        code, detail = _ROUTING_ERRORS.get(
            status, (status.name.lower(), status.description or status.phrase)
        )
        return render_problem(status, code, detail, error.headers)
    # The client has disconnected and reads nothing; the request counter still needs a status.
    return render_problem(HTTPStatus.BAD_REQUEST, "disconnected", "The client disconnected.")


def internal_error_response(instance: str | None = None) -> Response:
    """Return the response to a fault of the server.

    Parameters
    ----------
    instance
        URN of this occurrence, which the log holds too.
    """
    return render_problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal_error",
        "Something went wrong on the server; the request was not carried out.",
        remedy="Send the same request again. If it fails again, report `instance` to the operator.",
        instance=instance,
    )


def validation_problem(
    error: RequestValidationError | ValidationError, within: str = ""
) -> HTTPProblem:
    """Return the exception that names every field that failed validation.

    Parameters
    ----------
    within
        The part of the request that was validated, for errors that pydantic raised without
        FastAPI: their locations do not begin with it.
    """
    if not within and error.errors()[0]["type"] == "json_invalid":
        return _malformed_json()
    errors = []
    for fault in error.errors():
        # FastAPI's locations begin with query, path, header or body.
        location = [within, *fault["loc"]] if within else fault["loc"][1:]
        errors.append(FieldProblem(field=_field_path(location) or "body", detail=fault["msg"]))
    return HTTPProblem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid_request",
        f"{errors[0].field}: {errors[0].detail}.",
        remedy="Correct the fields that `errors` names and send the request again.",
        errors=errors,
    )


def _malformed_json() -> HTTPProblem:
    return HTTPProblem(
        HTTPStatus.BAD_REQUEST,
        "malformed_json",
        "The body is not valid JSON.",
        remedy="Build the body with a JSON library, in UTF-8.",
    )


def _field_path(location: Sequence[str | int]) -> str:
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def _from_problem(error: HTTPProblem) -> Response:
    return render_problem(
        HTTPStatus(error.status_code),
        error.code,
        error.detail,
        error.headers,
        remedy=error.remedy,
        field=error.errors[0].field if error.errors else None,
        errors=error.errors or None,
        accepted=error.accepted or None,
    )


def _from_domain(error: DermtriageError) -> Response:
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    headers = {}
    accepted = None
    if isinstance(error, ImageRejected) and error.code == "unsupported_media_type":
        status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        accepted = list(ACCEPTED_MEDIA_TYPES)
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = RETRY_AFTER
    field: str | None = getattr(error, "field", None)
    return render_problem(
        status,
        error.code,
        error.detail,
        headers,
        remedy=error.remedy or None,
        field=field,
        errors=[FieldProblem(field=field, detail=error.detail)] if field else None,
        accepted=accepted,
    )
