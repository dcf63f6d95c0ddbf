"""A clinic withdraws its own case over HTTP."""

import pytest
from tests.photographs import jpeg


def test_a_withdrawn_case_stays_so_and_the_same_request_gets_the_same_answer(
    api, clinic, clinician
) -> None:
    location = api.send(jpeg()).headers["location"]

    first = clinic.post(f"{location}/withdraw", json={"reason": "Sent twice."})
    again = clinic.post(f"{location}/withdraw")

    assert first.status_code == again.status_code == 200
    assert first.json() == again.json() == clinic.get(location).json()
    assert first.json()["state"] == "withdrawn"
    assert clinician.get("/v1/worklist").json()["items"] == []
    events = clinician.get(location).json()["review"]["events"]
    assert [event["kind"] for event in events] == ["received", "withdrawn"]


def test_a_withdrawal_is_refused_while_a_clinician_reads_and_once_they_decided(
    api, clinic, clinician
) -> None:
    location = api.send(jpeg()).headers["location"]
    claim = clinician.post(f"{location}/claim").json()["claim"]
    refused = clinic.post(f"{location}/withdraw")
    assert (refused.status_code, refused.json()["code"]) == (409, "claimed")
    decision = {"token": claim["token"], "triage_version": 0, "outcome": "refer_routine"}
    assert clinician.post(f"{location}/decisions", json=decision).status_code == 201
    refused = clinic.post(f"{location}/withdraw")
    assert (refused.status_code, refused.json()["code"]) == (409, "already_decided")
    assert refused.json()["remedy"]
    assert clinic.get(location).json()["state"] == "decided"


def test_only_its_own_clinic_withdraws_a_case(api, clinic, other_clinic, clinician) -> None:
    location = api.send(jpeg()).headers["location"]
    for client, status, code in (
        (other_clinic, 404, "case_not_found"),
        (clinician, 403, "clinic_only"),
    ):
        answer = client.post(f"{location}/withdraw")
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert clinic.get(location).json()["state"] == "open"


@pytest.mark.parametrize("body", [{"reason": ""}, {"reason": "x" * 501}, {"why": "unknown"}])
def test_a_body_that_cannot_be_kept_is_refused(api, clinic, body: dict[str, str]) -> None:
    location = api.send(jpeg()).headers["location"]
    answer = clinic.post(f"{location}/withdraw", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert clinic.get(location).json()["state"] == "open"
