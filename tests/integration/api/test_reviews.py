"""Clinicians log in, read the worklist, claim and decide."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select, update
from tests.photographs import jpeg

from dermtriage.core.clock import utcnow
from dermtriage.imaging.rendition import make_rendition
from dermtriage.models import AuditEntry, Case


def decision(token: int, **changes: Any) -> dict[str, Any]:
    return {"token": token, "triage_version": 0, "outcome": "refer_routine"} | changes


def test_a_wrong_password_opens_nothing(api) -> None:
    log_in_as = {"username": "nobody", "password": "four random words here"}
    with api.client() as client:
        answer = client.post("/v1/sessions", json=log_in_as)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_login")


def test_a_session_ends_when_it_is_closed(api, clinician) -> None:
    assert clinician.get("/v1/worklist").status_code == 200
    assert clinician.delete("/v1/sessions/current").status_code == 204
    answer = clinician.get("/v1/worklist")
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_session")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_worklist_comes_in_pages_with_the_most_urgent_first(api, clinician) -> None:
    asked = ["routine", "stat", "urgent", "asap"]
    sent = {
        priority: api.send(jpeg(seed), priority=priority).json()["case_id"]
        for seed, priority in enumerate(asked)
    }

    first = clinician.get("/v1/worklist", params={"limit": 2}).json()
    rest = clinician.get("/v1/worklist", params={"cursor": first["next_cursor"]}).json()

    items = first["items"] + rest["items"]
    assert [item["lane"] for item in items] == [0, 0, 1, 1]
    # What is asked for today lies before what is asked for soon.
    assert [item["case_id"] for item in items[:2]] == [sent["stat"], sent["asap"]]
    assert {item["case_id"] for item in items} == set(sent.values())
    assert rest["next_cursor"] is None
    assert {item["severity"] for item in items} == {"unscored"}


def test_the_worklist_can_be_narrowed(api, clinician, subtests: pytest.Subtests) -> None:
    urgent = api.send(jpeg(1), priority="asap").json()["case_id"]
    late = api.send(jpeg(2)).json()["case_id"]
    with api.sessions.begin() as session:
        session.execute(update(Case).where(Case.id == UUID(late)).values(due_at=utcnow()))
        clinic_id = session.scalars(select(Case.clinic_id)).first()
    for where, expected in (
        ({"lane": 0}, {urgent}),
        ({"overdue": "true"}, {late}),
        ({"overdue": "false"}, {urgent}),
        ({"severity": "severe"}, set()),
        ({"severity": "unscored"}, {urgent, late}),
        ({"clinic_id": str(clinic_id)}, {urgent, late}),
        ({"clinic_id": str(uuid4())}, set()),
    ):
        with subtests.test(str(where)):
            items = clinician.get("/v1/worklist", params=where).json()["items"]
            assert {item["case_id"] for item in items} == expected


def test_a_case_is_claimed_decided_and_read_by_its_clinic(api, clinic, clinician) -> None:
    case_id = api.send(jpeg()).json()["case_id"]

    claimed = clinician.post("/v1/worklist/claims")
    assert claimed.status_code == 201
    assert claimed.json()["case"]["case_id"] == case_id
    assert claimed.json()["case"]["claimed_by"] == "m.okafor"
    token = claimed.json()["claim"]["token"]
    renewed = clinician.put(f"/v1/cases/{case_id}/claim", json={"token": token}).json()
    assert renewed["expires_at"] > claimed.json()["claim"]["expires_at"]
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
    standing = clinician.get(f"/v1/cases/{case_id}").json()["review"]["decisions"]
    assert [one["decision_id"] for one in standing] == [made.json()["decision_id"]]


def test_a_decision_can_be_corrected_by_name(api, clinic, clinician) -> None:
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


def test_what_a_claim_protects(api, clinician, colleague) -> None:
    path = f"/v1/cases/{api.send(jpeg()).json()['case_id']}"
    token = clinician.post(f"{path}/claim").json()["claim"]["token"]

    taken = colleague.post(f"{path}/claim")
    assert (taken.status_code, taken.json()["code"]) == (409, "claimed_by_other")
    assert colleague.post("/v1/worklist/claims").status_code == 204
    stolen = colleague.post(f"{path}/decisions", json=decision(token))
    assert (stolen.status_code, stolen.json()["code"]) == (409, "claim_lost")
    risen = clinician.post(f"{path}/decisions", json=decision(token, triage_version=1))
    assert (risen.status_code, risen.json()["code"]) == (409, "severity_rose")

    assert clinician.delete(f"{path}/claim", params={"token": token}).status_code == 204
    assert colleague.post(f"{path}/claim").status_code == 201
    lost = clinician.put(f"{path}/claim", json={"token": token})
    assert (lost.status_code, lost.json()["code"]) == (409, "claim_lost")


def test_bad_fields_of_a_decision_are_named(api, clinician, subtests: pytest.Subtests) -> None:
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
    with subtests.test("a cursor of our own making"):
        answer = clinician.get("/v1/worklist", params={"cursor": "WzEsMl0"})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")
    with subtests.test("no such case"):
        answer = clinician.get(f"/v1/cases/{uuid4()}")
        assert (answer.status_code, answer.json()["code"]) == (404, "case_not_found")


def test_a_rendition_is_shown_to_those_who_may_see_it(
    api, store, clinic, other_clinic, clinician
) -> None:
    # No worker has come to it: a clinician must be able to look at what is not scored.
    image_id = UUID(api.send(jpeg()).json()["images"][0]["image_id"])
    path = f"/v1/images/{image_id}/rendition"
    picture = make_rendition(jpeg())
    for viewer in (clinic, clinician):
        answer = viewer.get(path)
        assert answer.content == picture
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert store.get_rendition(image_id) == picture
    _assert_hidden(other_clinic.get(path))
    _assert_hidden(clinician.get(f"/v1/images/{uuid4()}/rendition"))
    with api.client() as client:
        assert client.get(path).status_code == 401
    with api.sessions() as session:
        views = session.scalars(
            select(AuditEntry.actor_kind).where(AuditEntry.action == "rendition.viewed")
        )
        assert sorted(views) == ["clinic", "clinician"]


def _assert_hidden(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["code"]) == (404, "image_not_found")
