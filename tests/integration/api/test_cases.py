"""A clinic sends cases and reads what became of them."""

from uuid import UUID

import httpx
from sqlalchemy import select
from tests.photographs import jpeg, sha256

from dermtriage.models import AuditEntry, Case


def test_a_case_is_taken_in_and_its_receipt_names_every_photograph(api, clinic) -> None:
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


def test_the_same_request_again_gets_the_same_receipt(api) -> None:
    first = api.send(jpeg(), key="once")
    left = api.left_behind()

    again = api.send(jpeg(), key="once")

    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert api.left_behind() == left


def test_the_metadata_may_come_as_a_file_part(api, clinic) -> None:
    data = jpeg()
    answer = clinic.post(
        "/v1/cases",
        headers={"Idempotency-Key": "k"},
        files=[
            ("metadata", ("m.json", f'{{"images": [{{"sha256": "{sha256(data)}"}}]}}')),
            ("images", ("a.jpg", data)),
        ],
    )
    assert answer.status_code == 202


def test_another_clinic_finds_nothing(api, other_clinic) -> None:
    location = api.send(jpeg()).headers["location"]

    answer = other_clinic.get(location)

    assert answer.status_code == 404
    assert answer.json()["code"] == "case_not_found"
    assert other_clinic.get("/v1/cases").json()["items"] == []


def test_a_poll_asks_for_what_changed_since(api, clinic, clinician) -> None:
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


def test_what_did_not_change_is_not_sent_again(api, clinic, clinician) -> None:
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


def test_a_clinician_reads_everything_and_is_written_down(api, clinician) -> None:
    case_id = api.send(jpeg(), age_approx=55, history={"bleeding": True}).json()["case_id"]

    case = clinician.get(f"/v1/cases/{case_id}").json()

    review = case["review"]
    assert review["severity"] == "unscored"
    assert review["clinic_name"] == "Aldea Norte"
    assert review["referral"]["age_approx"] == 55
    assert review["referral"]["history"] == {"bleeding": True}
    assert [event["kind"] for event in review["events"]] == ["received"]
    with api.sessions() as session:
        seen = session.scalars(select(AuditEntry).where(AuditEntry.action == "case.viewed")).one()
    assert (seen.actor_kind, seen.case_id) == ("clinician", UUID(case_id))


def test_images_go_to_the_broker_after_the_commit(api, queue) -> None:
    receipt = api.send(jpeg(1), jpeg(2)).json()

    assert queue.take(2) == {image["image_id"] for image in receipt["images"]}
    with api.sessions() as session:
        assert session.get(Case, UUID(receipt["case_id"])) is not None


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
