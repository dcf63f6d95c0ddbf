"""Clinicians claim cases."""

from tests.photographs import jpeg


def test_the_next_case_is_claimed_and_the_claim_renewed(api, clinician) -> None:
    case_id = api.send(jpeg()).json()["case_id"]

    claimed = clinician.post("/v1/worklist/claims")

    assert claimed.status_code == 201
    assert claimed.json()["case"]["case_id"] == case_id
    assert claimed.json()["case"]["claimed_by"] == "m.okafor"
    token = claimed.json()["claim"]["token"]
    renewed = clinician.put(f"/v1/cases/{case_id}/claim", json={"token": token}).json()
    assert renewed["expires_at"] > claimed.json()["claim"]["expires_at"]


def test_a_claim_excludes_other_clinicians_until_it_is_released(api, clinician, colleague) -> None:
    path = f"/v1/cases/{api.send(jpeg()).json()['case_id']}"
    token = clinician.post(f"{path}/claim").json()["claim"]["token"]

    refused = colleague.post(f"{path}/claim")
    assert (refused.status_code, refused.json()["code"]) == (409, "claimed_by_other")
    assert colleague.post("/v1/worklist/claims").status_code == 204

    assert clinician.delete(f"{path}/claim", params={"token": token}).status_code == 204
    assert colleague.post(f"{path}/claim").status_code == 201
    lost = clinician.put(f"{path}/claim", json={"token": token})
    assert (lost.status_code, lost.json()["code"]) == (409, "claim_lost")
