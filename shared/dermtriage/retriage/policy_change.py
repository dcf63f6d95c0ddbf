"""A policy out of the active one and the fields that an operator changes. Pure: no I/O."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from dermtriage.core.errors import RequestRejected
from dermtriage.triage.policy import Policy


def changed_policy(base: Policy, changes: Mapping[str, Any]) -> Policy:
    """Return `base` with other values for some of its fields, given as in JSON.

    Raises
    ------
    RequestRejected
        If a policy has no such field, or a value is not allowed.
    """
    try:
        # Strict: a number in quotes, or `true` for 1, was not meant as a threshold.
        return Policy.model_validate_json(
            json.dumps(base.model_dump(mode="json") | dict(changes)), strict=True
        )
    except ValidationError as error:
        faults = "; ".join(_describe(detail) for detail in error.errors())
        raise RequestRejected(
            f"The policy cannot be used: {faults}.",
            remedy=f"Correct it and try again; its fields are {', '.join(Policy.model_fields)}.",
            field="policy",
        ) from error


def _describe(detail: ErrorDetails) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"it has no field {where}"
    message = detail["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
