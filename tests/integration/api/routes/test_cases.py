"""A clinic sends cases and polls for changes; clinics and clinicians read one."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select
from tests.integration.api.scores import GOOD_QUALITY, score
from tests.photographs import jpeg, sha256

from dermtriage.models import AuditEntry, Case


def test_the_receipt_of_a_case_names_every_photograph(api, clinic) -> None:
    files = [jpeg(1), jpeg(2)]
    images = [
        {"sha256": sha256(files[0])},
        {"sha256": sha256(files[1]), "image_type": "overview"},
    ]

    answer = api.send(*files, images=images, priority="urgent", patient_id="P-88")

    assert answer.status_code == 202
    receipt = answer.json()
    assert answer.headers["location"] == f"/v1/cases/{receipt['case_id']}"
    assert receipt["priority"] == "urgent"
    assert [(i["sha256"], i["byte_size"], i["image_type"]) for i in receipt["images"]] == [
        (sha256(files[0]), len(files[0]), "dermoscopic"),
        (sha256(files[1]), len(files[1]), "overview"),
    ]
    case = clinic.get(answer.headers["location"]).json()
    assert case["state"] == "open"
    assert case["patient_id"] == "P-88"
    assert [image["scoring"] for image in case["images"]] == ["pending", "not_scored"]
    assert case["outcome"] is None
    assert case["review"] is None


def test_a_repeated_request_gets_the_same_receipt(api) -> None:
    first = api.send(jpeg(), key="once")
    left = api.left_behind()

    again = api.send(jpeg(), key="once")

    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert api.left_behind() == left


def test_identical_requests_at_the_same_time_make_one_case(api) -> None:
    with ThreadPoolExecutor() as threads:
        sent = [threads.submit(api.send, jpeg(), key="once") for _ in range(4)]
    answers = [each.result() for each in sent]

    assert [answer.status_code for answer in answers] == [202] * 4
    assert [answer.json() for answer in answers] == [answers[0].json()] * 4
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 3
    assert api.left_behind()["cases"] == 1


def test_images_are_queued_after_the_commit(api, queue) -> None:
    receipt = api.send(jpeg(1), jpeg(2)).json()

    assert queue.take(2) == {image["image_id"] for image in receipt["images"]}
    with api.sessions() as session:
        assert session.get(Case, UUID(receipt["case_id"])) is not None


def test_another_clinics_case_is_not_found(api, other_clinic) -> None:
    location = api.send(jpeg()).headers["location"]

    answer = other_clinic.get(location)

    assert answer.status_code == 404
    assert answer.json()["code"] == "case_not_found"
    assert other_clinic.get("/v1/cases").json()["items"] == []


def test_a_poll_lists_what_changed_since_the_last(api, clinic, clinician) -> None:
    sent = [api.send(jpeg(seed)).json()["case_id"] for seed in range(3)]
    page = clinic.get("/v1/cases", params={"limit": 2}).json()
    assert [case["case_id"] for case in page["items"]] == sent[:2]
    assert page["has_more"] is True
    page = clinic.get("/v1/cases", params={"limit": 2, "cursor": page["next_cursor"]}).json()
    assert [case["case_id"] for case in page["items"]] == sent[2:]
    assert page["has_more"] is False

    _decide(clinician, sent[0])

    page = clinic.get("/v1/cases", params={"cursor": page["next_cursor"]}).json()
    changed = {case["case_id"]: case for case in page["items"]}[sent[0]]
    assert changed["state"] == "decided"
    assert changed["outcome"]["advice"] == "Come again in May."


def test_an_unchanged_case_is_not_sent_again(api, clinic, clinician) -> None:
    location = api.send(jpeg()).headers["location"]
    first = clinic.get(location)
    etag = first.headers["etag"]

    same = clinic.get(location, headers={"If-None-Match": f'"other", W/{etag}'})
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["etag"] == etag

    _decide(clinician, first.json()["case_id"])
    changed = clinic.get(location, headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag


def test_a_clinicians_view_of_a_case_is_complete_and_audited(api, clinician) -> None:
    case_id = api.send(jpeg(), age_approx=55, history={"bleeding": True}).json()["case_id"]

    case = clinician.get(f"/v1/cases/{case_id}").json()

    review = case["review"]
    assert review["severity"] == "unscored"
    assert review["clinic_name"] == "Aldea Norte"
    assert review["referral"]["age_approx"] == 55
    assert review["referral"]["history"] == {"bleeding": True}
    assert [event["kind"] for event in review["events"]] == ["received"]
    with api.sessions() as session:
        audited = session.scalars(
            select(AuditEntry).where(AuditEntry.action == "case.viewed")
        ).one()
    assert (audited.actor_kind, audited.case_id) == ("clinician", UUID(case_id))


def test_an_unknown_case_is_not_found(clinician) -> None:
    answer = clinician.get(f"/v1/cases/{uuid4()}")
    assert (answer.status_code, answer.json()["code"]) == (404, "case_not_found")


@pytest.fixture
def image_id(api) -> UUID:
    return UUID(api.send(jpeg(size=(640, 480))).json()["images"][0]["image_id"])


def test_clinic_and_clinician_read_the_retake_advice(
    api, clinic: httpx.Client, clinician: httpx.Client, image_id: UUID
) -> None:
    case_id = score(api, image_id, 0.4, GOOD_QUALITY | {"sharpness": 0.01, "lesion_share": 0.001})
    advice = []
    for client in (clinic, clinician):
        (image,) = client.get(f"/v1/cases/{case_id}").json()["images"]
        advice.append(image["retake_advice"])
        assert [item["reason"] for item in image["retake_advice"]] == ["blurry", "distance"]
        assert all(item["advice"] for item in image["retake_advice"])
    (listed,) = clinic.get("/v1/cases").json()["items"]
    assert listed["images"][0]["retake_advice"] == advice[0] == advice[1]
    assert listed["review"] is None


def test_a_good_photograph_gets_no_retake_advice(api, clinic: httpx.Client, image_id: UUID) -> None:
    case_id = score(api, image_id, 0.4)
    (image,) = clinic.get(f"/v1/cases/{case_id}").json()["images"]
    assert image["retake_advice"] == []


def test_a_clinician_reads_which_networks_agree(
    api, clinician: httpx.Client, image_id: UUID
) -> None:
    severe, low = [0.0, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 9.0, 0.0]
    case_id = score(api, image_id, 0.4, GOOD_QUALITY, tiny_a=severe, tiny_b=low)
    (image,) = clinician.get(f"/v1/cases/{case_id}").json()["review"]["images"]
    assert image["assessment"]["explanation"] == (
        "1 of 2 networks say severe, 1 low; the score 0.40 lies between the thresholds 0.30 and"
        " 0.60."
    )


def _decide(clinician: httpx.Client, case_id: str) -> None:
    claim = clinician.post(f"/v1/cases/{case_id}/claim").json()["claim"]
    answer = clinician.post(
        f"/v1/cases/{case_id}/decisions",
        json={
            "token": claim["token"],
            "triage_version": 0,
            "outcome": "discharge_with_advice",
            "advice": "Come again in May.",
        },
    )
    assert answer.status_code == 201
