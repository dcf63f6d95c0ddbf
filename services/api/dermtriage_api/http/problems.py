"""Problem documents (RFC 9457): the model, its rendering, and the exception that carries one."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"

RETRY_AFTER = "5"
"""Seconds after which a request that met an outage should be sent again."""


class FieldProblem(BaseModel):
    """What is wrong with one field of the request."""

    field: str = Field(description="Path of the field, such as `metadata.images[0].sha256`.")
    detail: str = Field(description="What is wrong with it.")


class Problem(BaseModel):
    """An error, for people and for programs (RFC 9457)."""

    type: str = Field(description="URN of the kind of problem; ends with `code`.")
    title: str = Field(description="The phrase of the HTTP status.")
    status: int = Field(ge=400, le=599, description="The HTTP status.")
    detail: str = Field(description="What happened.")
    code: str = Field(description="Stable code that programs may act on.")
    remedy: str | None = Field(default=None, description="What to do about it.")
    field: str | None = Field(default=None, description="The first field that is wrong.")
    errors: list[FieldProblem] | None = Field(
        default=None, description="Every field that is wrong."
    )
    accepted: list[str] | None = Field(
        default=None, description="The media types that are accepted."
    )
    instance: str | None = Field(
        default=None,
        description="URN of this occurrence, by which the operator finds it in the log.",
    )


class HTTPProblem(HTTPException):
    """A request that fails at the level of HTTP: too large, too slow, of the wrong type."""

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


def invalid_field(
    code: str,
    field: str,
    detail: str,
    *,
    remedy: str | None = None,
    status: HTTPStatus = HTTPStatus.UNPROCESSABLE_ENTITY,
) -> HTTPProblem:
    """Return the exception for one field that is wrong."""
    return HTTPProblem(
        status, code, detail, remedy=remedy, errors=[FieldProblem(field=field, detail=detail)]
    )


def render_problem(
    status: HTTPStatus,
    code: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> Response:
    """Return a problem document as a response; members that are None are left out."""
    problem = Problem(
        type=f"urn:dermtriage:problem:{code}",
        title=status.phrase,
        status=status,
        detail=detail,
        code=code,
        **members,
    )
    return Response(problem.model_dump_json(exclude_none=True), status, headers, MEDIA_TYPE)
