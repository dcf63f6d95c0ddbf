"""Who may call what, with which key or token."""

from typing import Any

import pytest
from tests.photographs import jpeg

from dermtriage.accounts.clinics import revoke_clinic

DECISION = {"token": 1, "triage_version": 0, "outcome": "refer_routine"}


def test_a_key_revoked_between_two_uploads_is_refused_at_once(api) -> None:
    assert api.send(jpeg(1)).status_code == 202
    with api.sessions.begin() as session:
        assert revoke_clinic(session, name="Aldea Norte") == 1

    refused = api.send(jpeg(2))

    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_api_key")
    assert api.left_behind()["cases"] == 1


def test_clinics_and_clinicians_may_only_call_their_own_routes(
    api, clinic, clinician, subtests: pytest.Subtests
) -> None:
    location = api.send(jpeg()).headers["location"]
    for_clinicians: list[tuple[str, str, dict[str, Any] | None]] = [
        ("GET", "/v1/worklist", None),
        ("POST", "/v1/worklist/claims", None),
        ("POST", f"{location}/claim", None),
        ("PUT", f"{location}/claim", {"token": 1}),
        ("DELETE", f"{location}/claim?token=1", None),
        ("POST", f"{location}/decisions", DECISION),
        ("DELETE", "/v1/sessions/current", None),
    ]
    for method, path, body in for_clinicians:
        with subtests.test(f"clinic {method} {path}"):
            answer = clinic.request(method, path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (403, "clinician_only")
        with subtests.test(f"no key {method} {path}"), api.client() as client:
            assert client.request(method, path, json=body).status_code == 401
    with subtests.test("clinician lists a clinic's cases"):
        answer = clinician.get("/v1/cases")
        assert (answer.status_code, answer.json()["code"]) == (403, "clinic_only")
    with subtests.test("clinician sends a case"):
        before = api.left_behind()
        token = clinician.headers["authorization"].removeprefix("Bearer ")
        answer = api.send(jpeg(1), token=token)
        assert (answer.status_code, answer.json()["code"]) == (403, "clinic_only")
        assert api.left_behind() == before


def test_invalid_credentials_are_refused(api, subtests: pytest.Subtests) -> None:
    for header in ("Basic abc", "Bearer", "Bearer dtc_0_wrong", "Bearer dts_wrong", "dtc_x"):
        with subtests.test(header), api.client() as client:
            answer = client.get("/v1/cases", headers={"Authorization": header})
            assert answer.status_code == 401
            assert answer.json()["remedy"]
