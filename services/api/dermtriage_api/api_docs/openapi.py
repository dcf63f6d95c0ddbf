"""The OpenAPI document: FastAPI's, completed with the schemas and examples that it leaves out."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from dermtriage.intake.referral import CaseMetadata
from dermtriage_api.api_docs.case_upload import CASE_METADATA_EXAMPLE
from dermtriage_api.http.problems import Problem
from dermtriage_api.schemas.cases import CaseChangesView, CaseView
from dermtriage_api.schemas.claims import ClaimedCaseView
from dermtriage_api.schemas.decisions import DecisionView
from dermtriage_api.schemas.worklist import WorklistItemView, WorklistView

# FastAPI drops nulls from the document, and so from the examples of these models.
_EXAMPLES_WITH_NULLS: tuple[type[BaseModel], ...] = (
    CaseChangesView,
    CaseView,
    ClaimedCaseView,
    DecisionView,
    WorklistItemView,
    WorklistView,
)


def openapi_document(app: FastAPI) -> dict[str, Any]:
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
        schemas["CaseMetadata"]["examples"] = [CASE_METADATA_EXAMPLE]
        for model in _EXAMPLES_WITH_NULLS:
            schema_extra: Any = model.model_config["json_schema_extra"]
            schemas[model.__name__]["examples"] = schema_extra["examples"]
        app.openapi_schema = document
    return app.openapi_schema
