"""Types, base classes and example identifiers that the schemas share."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from dermtriage.core.validation import STORABLE_TEXT

CASE_ID = "019a1f0e-5c3b-7d2a-9e44-2f1b6c8d7e10"
IMAGE_ID = "019a1f0e-5c3b-7f01-8a6d-94c2b7e5d3f2"
CLINIC_ID = "019a1efa-0b7c-7c55-b0a1-6d2e8f4a9c33"
CLINICIAN_ID = "019a1efb-77aa-7e0f-9c1d-3b5a7d9e2f48"
DECISION_ID = "019a1f2b-1f6e-7b90-a7c3-5e8d1f3b6a27"
SHA256 = "8d969eef6ecad3c29a3a629280e686cf0c3f5d5a86aff3ca12020c923adc6c92"

Text = Annotated[str, StringConstraints(strip_whitespace=True, pattern=STORABLE_TEXT)]
"""Text that PostgreSQL can store."""

FencingToken = Annotated[int, Field(ge=0, lt=2**63, description="The fencing token of your claim.")]


class Input(BaseModel):
    """Base of request bodies: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


def example(**values: Any) -> ConfigDict:
    """Return the configuration that puts an example into the schema of a response body."""
    return ConfigDict(json_schema_extra={"examples": [values]})


def input_example(**values: Any) -> ConfigDict:
    """Return the configuration that puts an example into the schema of a request body."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [values]})
