"""The description of the API, with an example of everything that is taken or answered."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from dermtriage.intake.referral import CaseMetadata
from dermtriage_api.http.problems import MEDIA_TYPE, Problem
from dermtriage_api.schemas.cases import CaseView, ChangesView
from dermtriage_api.schemas.reviews import ClaimedView, DecisionView, ItemView, WorklistView

# FastAPI drops nulls from the document that it builds, and so from these models' examples.
_WITH_NULLS: tuple[type[BaseModel], ...] = (
    CaseView,
    ChangesView,
    ClaimedView,
    DecisionView,
    ItemView,
    WorklistView,
)

Responses = dict[int | str, dict[str, Any]]
"""Answers by their status, as FastAPI's routes take them."""

REFERRAL_EXAMPLE = {
    "images": [
        {
            "image_type": "dermoscopic",
            "sha256": "8d969eef6ecad3c29a3a629280e686cf0c3f5d5a86aff3ca12020c923adc6c92",
        }
    ],
    "priority": "routine",
    "clinic_reference": "REF-2031",
    "patient_id": "P-88",
    "lesion_id": "L-1",
    "age_approx": 55,
    "sex": "female",
    "anatom_site": "lower extremity",
    "fitzpatrick_skin_type": "III",
    "clin_size_long_diam_mm": 7.5,
    "personal_hx_mm": False,
    "family_hx_mm": True,
    "onset_date": "2025-11-01",
    "history": {"changed": True, "bleeding": False},
}

REFERRAL_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["metadata", "images"],
                    "additionalProperties": False,
                    "properties": {
                        "metadata": {"$ref": "#/components/schemas/CaseMetadata"},
                        "images": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "format": "binary"},
                            "description": "JPEG or PNG, in the order of `metadata.images`.",
                        },
                    },
                },
                "encoding": {"metadata": {"contentType": "application/json"}},
            }
        },
    },
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": True,
            "description": "New for each referral, the same when it is repeated.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
            "example": "2f6c1f0a-6f0e-4d53-9a3b-0f5a1c1f7f11",
        }
    ],
}

_ERRORS: dict[int, tuple[str, str, str]] = {
    400: ("Broken request", "malformed_multipart", "The multipart body is broken or ends early."),
    401: ("Nobody known asked", "not_authenticated", "The request carries no key."),
    403: ("Not for this role", "clinician_only", "Only a clinician may do this."),
    404: ("No such thing, or not yours", "not_found", "There is no such case."),
    408: ("Too slow", "body_too_slow", "The request's body did not arrive within 600 seconds."),
    409: ("Changed meanwhile", "claim_lost", "Your claim on this case is not valid any more."),
    413: ("Too large", "request_too_large", "The request is larger than 67108864 bytes."),
    415: ("Wrong kind of file", "unsupported_media_type", "The file is no JPEG or PNG."),
    422: ("Not valid", "invalid_request", "limit: Input should be greater than 0."),
    503: ("Out of reach for now", "database_unavailable", "The database cannot be reached."),
}


def errors(*statuses: int) -> Responses:
    """Return the descriptions of these error answers for a route."""
    return {status: _described(status) for status in sorted(statuses)}


def _described(status: int) -> dict[str, Any]:
    description, code, detail = _ERRORS[status]
    problem = {
        "type": f"urn:dermtriage:problem:{code}",
        "title": description,
        "status": status,
        "detail": detail,
        "code": code,
    }
    described: dict[str, Any] = {
        "description": description,
        "content": {
            MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": problem}
        },
    }
    if status == 503:
        described["headers"] = {
            "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string"}}
        }
    return described


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document; it is built once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            tags=app.openapi_tags,
            routes=app.routes,
        )
        _, extra = models_json_schema(
            [(CaseMetadata, "validation"), (Problem, "serialization")],
            ref_template="#/components/schemas/{model}",
        )
        schemas = document["components"]["schemas"]
        schemas |= extra["$defs"]
        schemas["CaseMetadata"]["examples"] = [REFERRAL_EXAMPLE]
        for model in _WITH_NULLS:
            shown: Any = model.model_config["json_schema_extra"]
            schemas[model.__name__]["examples"] = shown["examples"]
        app.openapi_schema = document
    return app.openapi_schema
