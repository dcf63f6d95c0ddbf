"""Clinicians read the worklist."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update
from tests.photographs import jpeg

from dermtriage.core.clock import utcnow
from dermtriage.models import Case


def test_pages_list_the_most_urgent_case_first(api, clinician) -> None:
    priorities = ["routine", "stat", "urgent", "asap"]
    sent = {
        priority: api.send(jpeg(seed), priority=priority).json()["case_id"]
        for seed, priority in enumerate(priorities)
    }

    first = clinician.get("/v1/worklist", params={"limit": 2}).json()
    rest = clinician.get("/v1/worklist", params={"cursor": first["next_cursor"]}).json()

    items = first["items"] + rest["items"]
    assert [item["lane"] for item in items] == [0, 0, 1, 1]
    # In one lane the earlier due time is first.
    assert [item["case_id"] for item in items[:2]] == [sent["stat"], sent["asap"]]
    assert {item["case_id"] for item in items} == set(sent.values())
    assert rest["next_cursor"] is None
    assert {item["severity"] for item in items} == {"unscored"}


def test_filters(api, clinician, subtests: pytest.Subtests) -> None:
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


def test_an_invalid_cursor_is_refused(clinician) -> None:
    answer = clinician.get("/v1/worklist", params={"cursor": "WzEsMl0"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")
