"""How errors are answered: problem documents (RFC 9457) with a stable code and a remedy."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
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
    RequestRejected,
    Unavailable,
)
from dermtriage.imaging.limits import ACCEPTED_MEDIA_TYPES

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = "5"
"""Seconds after which an outage is worth another try."""

_STATUS: dict[type[DermtriageError], HTTPStatus] = {
    NotAuthenticated: HTTPStatus.UNAUTHORIZED,
    NotAllowed: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    IdempotencyMismatch: HTTPStatus.UNPROCESSABLE_ENTITY,
    RequestRejected: HTTPStatus.UNPROCESSABLE_ENTITY,
    ImageRejected: HTTPStatus.UNPROCESSABLE_ENTITY,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}

_CODES = {
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
}


FORESEEN: tuple[type[Exception], ...] = (
    *_STATUS,
    HTTPException,
    RequestValidationError,
    ClientDisconnect,
)
"""Errors that have an answer of their own. Every other is the server's, and is logged."""


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    field: str = Field(description="Such as `metadata.images[0].sha256`.")
    detail: str


class Problem(BaseModel):
    """An error, for people and for programs."""

    type: str = Field(description="Names the kind of problem; ends with the code.")
    title: str = Field(description="The phrase of the HTTP status.")
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="What happened.")
    code: str = Field(description="A stable word that programs may act on.")
    remedy: str | None = Field(default=None, description="What to do about it.")
    field: str | None = Field(default=None, description="The (first) field that is wrong.")
    errors: list[FieldProblem] | None = Field(
        default=None, description="Every field that is wrong."
    )
    accepted: list[str] | None = Field(
        default=None, description="The media types that would have been accepted."
    )
    instance: str | None = Field(
        default=None, description="Names this one occurrence in the server's log."
    )


class Refusal(HTTPException):
    """A request that HTTP itself forbids: too large, too slow, of the wrong kind."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        *,
        remedy: str | None = None,
        errors: Sequence[FieldProblem] = (),
        accepted: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, headers)
        self.code = code
        self.remedy = remedy
        self.errors = list(errors)
        self.accepted = list(accepted)


def refused_field(
    code: str,
    field: str,
    detail: str,
    *,
    remedy: str | None = None,
    status: HTTPStatus = HTTPStatus.UNPROCESSABLE_ENTITY,
) -> Refusal:
    """Return the refusal of one field."""
    return Refusal(
        status, code, detail, remedy=remedy, errors=[FieldProblem(field=field, detail=detail)]
    )


def invalid(error: RequestValidationError | ValidationError, within: str = "") -> Refusal:
    """Return the refusal that names every field which `error` found wrong.

    Parameters
    ----------
    within
        The part of the request that was validated, where the error does not know it itself.
    """
    errors = []
    if not within and error.errors()[0]["type"] == "json_invalid":
        return _malformed_json()
    for fault in error.errors():
        location = list(fault["loc"])
        if not within:
            # The first step is query, path, header or body.
            location = location[1:]
        field = _field_name([within, *location] if within else location) or "body"
        errors.append(FieldProblem(field=field, detail=fault["msg"]))
    return Refusal(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid_request",
        f"{errors[0].field}: {errors[0].detail}.",
        remedy="Correct the fields that `errors` names and send the request again.",
        errors=errors,
    )


def _malformed_json() -> Refusal:
    return Refusal(
        HTTPStatus.BAD_REQUEST,
        "malformed_json",
        "The body is no JSON.",
        remedy="Build the body with a JSON library, in UTF-8.",
    )


def _field_name(location: Sequence[str | int]) -> str:
    name = ""
    for step in location:
        name += f"[{step}]" if isinstance(step, int) else f".{step}" if name else step
    return name


def problem_response(error: Exception) -> Response:
    """Return the answer to an error of a kind that is `FORESEEN`."""
    if isinstance(error, RequestValidationError):
        error = invalid(error)
    if isinstance(error, HTTPException) and error.status_code == HTTPStatus.BAD_REQUEST:
        # So FastAPI calls a body of bytes that are no text.
        error = error if isinstance(error, Refusal) else _malformed_json()
    if isinstance(error, Refusal):
        return _of_refusal(error)
    if isinstance(error, DermtriageError):
        return _of_domain(error)
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        code = _CODES.get(status, status.name.lower())
        detail = {
            HTTPStatus.NOT_FOUND: "There is nothing at this address.",
            HTTPStatus.METHOD_NOT_ALLOWED: "This address does not take that method.",
        }.get(status, status.description or status.phrase)
        return render(status, code, detail, error.headers)
    # Nobody is left to read this one; the counters still want a status.
    return render(HTTPStatus.BAD_REQUEST, "disconnected", "The client went away.")


def unexpected(instance: str | None = None) -> Response:
    """Return the answer to an error of our own."""
    return render(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal_error",
        "Something went wrong on the server; the request was not carried out.",
        remedy="Send the same request again; if it fails again, tell the operator.",
        instance=instance,
    )


def _of_refusal(error: Refusal) -> Response:
    return render(
        HTTPStatus(error.status_code),
        error.code,
        error.detail,
        error.headers,
        remedy=error.remedy,
        field=error.errors[0].field if error.errors else None,
        errors=error.errors or None,
        accepted=error.accepted or None,
    )


def _of_domain(error: DermtriageError) -> Response:
    status = _STATUS[type(error)]
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
    return render(
        status,
        error.code,
        error.detail,
        headers,
        remedy=error.remedy or None,
        field=field,
        errors=[FieldProblem(field=field, detail=error.detail)] if field else None,
        accepted=accepted,
    )


def render(
    status: HTTPStatus,
    code: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> Response:
    """Return a problem document as an answer; members that are None are left out."""
    problem = Problem(
        type=f"urn:dermtriage:problem:{code}",
        title=status.phrase,
        status=status,
        detail=detail,
        code=code,
        **members,
    )
    return Response(problem.model_dump_json(exclude_none=True), status, headers, MEDIA_TYPE)
