"""Generated requests are answered as the OpenAPI document describes."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.photographs import jpeg

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
bounded = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_generated_requests_are_answered_as_described(
    api, clinician, subtests: pytest.Subtests
) -> None:
    receipt = api.send(jpeg()).json()
    real = {"case_id": receipt["case_id"], "image_id": receipt["images"][0]["image_id"]}
    tokens = [f"Bearer {api.clinic_key}", clinician.headers["authorization"], None]
    schema = schemathesis.openapi.from_url(f"{api.url}/openapi.json")
    seen = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        seen += 1
        if operation.path == "/v1/sessions/current":
            # This would end the session that the other requests need.
            continue

        @bounded
        @given(
            case=st.one_of(operation.as_strategy(generation_mode=mode) for mode in GenerationMode),
            token=st.sampled_from(tokens),
            is_real=st.booleans(),
        )
        def answered_as_described(case: Any, token: str | None, is_real: bool) -> None:
            if is_real and case.path_parameters:
                case.path_parameters = {**case.path_parameters, **real}
            headers = {"Authorization": token} if token else {}
            case.call_and_validate(base_url=api.url, headers=headers, checks=CHECKS)

        with subtests.test(f"{operation.method.upper()} {operation.path}"):
            answered_as_described()
    assert seen >= 15, "operations are missing from the document"
