"""Clinicians decide cases, and their clinics read the outcome."""

from typing import Any

import pytest
from tests.photographs import jpeg


def decision(token: int, **changes: Any) -> dict[str, Any]:
    return {"token": token, "triage_version": 0, "outcome": "refer_routine"} | changes


def test_a_decision_is_read_by_the_clinic(api, clinic, clinician) -> None:
    case_id = api.send(jpeg()).json()["case_id"]
    token = clinician.post("/v1/worklist/claims").json()["claim"]["token"]

    made = clinician.post(
        f"/v1/cases/{case_id}/decisions",
        json=decision(token, advice="See a dermatologist.", diagnosis="nevus"),
    )

    assert made.status_code == 201
    assert made.json()["severity_at_decision"] == "unscored"
    case = clinic.get(f"/v1/cases/{case_id}").json()
    assert case["state"] == "decided"
    assert case["outcome"]["outcome"] == "refer_routine"
    assert case["outcome"]["advice"] == "See a dermatologist."
    assert clinician.post("/v1/worklist/claims").status_code == 204
    decisions = clinician.get(f"/v1/cases/{case_id}").json()["review"]["decisions"]
    assert [item["decision_id"] for item in decisions] == [made.json()["decision_id"]]


def test_a_decision_is_corrected_by_one_that_supersedes_it(api, clinic, clinician) -> None:
    case_id = api.send(jpeg()).json()["case_id"]
    path = f"/v1/cases/{case_id}"
    token = clinician.post(f"{path}/claim").json()["claim"]["token"]
    wrong = clinician.post(f"{path}/decisions", json=decision(token)).json()
    token = clinician.post(f"{path}/claim").json()["claim"]["token"]

    unnamed = clinician.post(f"{path}/decisions", json=decision(token))
    assert (unnamed.status_code, unnamed.json()["code"]) == (409, "already_decided")
    right = clinician.post(
        f"{path}/decisions",
        json=decision(token, outcome="refer_urgent", supersedes_id=wrong["decision_id"]),
    )

    assert right.status_code == 201
    assert clinic.get(path).json()["outcome"]["outcome"] == "refer_urgent"


def test_a_decision_needs_the_clinicians_claim_and_the_current_severity(
    api, clinician, colleague
) -> None:
    path = f"/v1/cases/{api.send(jpeg()).json()['case_id']}"
    token = clinician.post(f"{path}/claim").json()["claim"]["token"]

    stolen = colleague.post(f"{path}/decisions", json=decision(token))
    assert (stolen.status_code, stolen.json()["code"]) == (409, "claim_lost")
    risen = clinician.post(f"{path}/decisions", json=decision(token, triage_version=1))
    assert (risen.status_code, risen.json()["code"]) == (409, "severity_rose")


def test_invalid_fields_of_a_decision_are_named(api, clinician, subtests: pytest.Subtests) -> None:
    path = f"/v1/cases/{api.send(jpeg()).json()['case_id']}/decisions"
    for field, value in (
        ("outcome", "cured"),
        ("advice", "a\x00b"),
        ("advice", "x" * 2001),
        ("token", -1),
        ("token", 2**63),
        ("triage_version", 2**31),
        ("supersedes_id", "7"),
        ("surname", "x"),
    ):
        with subtests.test(f"{field}={value!r:.10}"):
            answer = clinician.post(path, json=decision(1) | {field: value})
            assert (answer.status_code, answer.json()["field"]) == (422, field)
    for body in (b"{", b"\xff"):
        with subtests.test(f"broken JSON {body!r}"):
            answer = clinician.post(
                path, content=body, headers={"Content-Type": "application/json"}
            )
            assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")
