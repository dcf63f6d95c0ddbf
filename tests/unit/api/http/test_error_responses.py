"""Each exception gets its status, headers and problem document."""

import json
from http import HTTPStatus
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from dermtriage.core import errors
from dermtriage.imaging.limits import ACCEPTED_MEDIA_TYPES
from dermtriage_api.http.error_responses import (
    EXPECTED_ERRORS,
    error_response,
    validation_problem,
)
from dermtriage_api.http.problems import Problem


def image_rejected(code: str) -> errors.ImageRejected:
    error = errors.ImageRejected("Not a photograph.", code=code, remedy="Send another.")
    error.field = "images[2]"
    return error


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.NotAuthenticated("x"), 401, "not_authenticated"),
        (errors.NotAllowed("x"), 403, "not_allowed"),
        (errors.NotFound("x"), 404, "not_found"),
        (errors.Conflict("x", code="claim_lost"), 409, "claim_lost"),
        (errors.IdempotencyMismatch("x"), 422, "idempotency_key_reused"),
        (errors.RequestRejected("x", field="sex"), 422, "invalid_request"),
        (image_rejected("truncated_image"), 422, "truncated_image"),
        (image_rejected("unsupported_media_type"), 415, "unsupported_media_type"),
        (errors.Unavailable("x"), 503, "unavailable"),
        (errors.StoreMismatch("x"), 503, "store_mismatch"),
        (errors.ObjectInaccessible("x"), 503, "object_inaccessible"),
        (HTTPException(404), 404, "not_found"),
        (HTTPException(405, headers={"Allow": "GET"}), 405, "method_not_allowed"),
    ],
)
def test_each_error_has_its_status(error: Exception, status: int, code: str) -> None:
    response = error_response(error)
    problem = document(response)
    assert (response.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["type"].endswith(code)
    assert problem["title"] == HTTPStatus(status).phrase


def test_headers_for_programs() -> None:
    assert error_response(errors.NotAuthenticated("x")).headers["www-authenticate"] == "Bearer"
    assert int(error_response(errors.Unavailable("x")).headers["retry-after"]) > 0
    refused = error_response(HTTPException(405, headers={"Allow": "GET"}))
    assert refused.headers["allow"] == "GET"


def test_an_unsupported_media_type_lists_the_accepted_ones() -> None:
    problem = document(error_response(image_rejected("unsupported_media_type")))
    assert problem["accepted"] == list(ACCEPTED_MEDIA_TYPES)
    assert problem["field"] == "images[2]"
    assert problem["errors"] == [{"field": "images[2]", "detail": "Not a photograph."}]
    assert problem["remedy"] == "Send another."


def test_every_invalid_field_is_named_without_its_value() -> None:
    class Inner(BaseModel):
        age: int

    class Outer(BaseModel):
        inner: list[Inner]
        name: str

    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"inner": [{"age": 1}, {"age": "secret"}]})

    response = error_response(validation_problem(caught.value, within="metadata"))

    problem = document(response)
    assert [error["field"] for error in problem["errors"]] == [
        "metadata.inner[1].age",
        "metadata.name",
    ]
    assert problem["field"] == "metadata.inner[1].age"
    assert b"secret" not in response.body


def test_every_error_of_the_domain_has_a_response_but_those_of_operators() -> None:
    # A new error class must be mapped to a status, or it is answered as a fault of the server.
    operators = {errors.ConfigurationError, errors.ReleaseInvalid, errors.ReleaseRefused}
    raised = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type)
        and issubclass(kind, errors.DermtriageError)
        and kind is not errors.DermtriageError
    }
    assert raised - operators == {
        kind for kind in EXPECTED_ERRORS if issubclass(kind, errors.DermtriageError)
    }


def document(response: Any) -> dict[str, Any]:
    problem: dict[str, Any] = json.loads(response.body)
    Problem.model_validate(problem)
    return problem
