"""What the API shows beside a score: advice on the photograph, reasons in words, a heat map."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session
from tests import factories
from tests.photographs import jpeg

from dermtriage.models import AuditEntry
from dermtriage.releases.activation import activate_release, add_release
from dermtriage.releases.queries import active_release
from dermtriage.scoring import recording
from dermtriage.storage.image_store import ImageStore

FINE = {"sharpness": 0.4, "brightness": 0.6, "lesion_share": 0.2, "lesion_contrast": 0.6}


@pytest.fixture
def image_id(api: Any) -> UUID:
    return UUID(api.send(jpeg(size=(640, 480))).json()["images"][0]["image_id"])


def score(
    api: Any, image_id: UUID, p_severe: float, quality: dict[str, float], **members: list[float]
) -> str:
    """Record a score; return the case and keep the release's name."""
    with api.sessions.begin() as session:
        taken = factories.lease(session, image_id)
        said = factories.result(taken, p_severe)
        changed = recording.ScoredImage(
            **{name: getattr(said, name) for name in said.__slots__}
            | {"quality": quality, "members": members or said.members}
        )
        assert factories.record(session, [changed]) == 1
        return str(taken.case_id)


def release_name(session: Session) -> str:
    return active_release(session).name


def test_clinic_and_clinician_read_why_to_take_it_again(
    api: Any, clinic: httpx.Client, clinician: httpx.Client, image_id: UUID
) -> None:
    case_id = score(api, image_id, 0.4, FINE | {"sharpness": 0.01, "lesion_share": 0.001})
    advised = []
    for client in (clinic, clinician):
        (image,) = client.get(f"/v1/cases/{case_id}").json()["images"]
        advised.append(image["retake_advice"])
        assert [one["reason"] for one in image["retake_advice"]] == ["blurry", "distance"]
        assert all(one["advice"] for one in image["retake_advice"])
    (listed,) = clinic.get("/v1/cases").json()["items"]
    assert listed["images"][0]["retake_advice"] == advised[0] == advised[1]
    assert listed["review"] is None


def test_a_photograph_that_will_do_gets_no_advice(
    api: Any, clinic: httpx.Client, image_id: UUID
) -> None:
    case_id = score(api, image_id, 0.4, FINE)
    (image,) = clinic.get(f"/v1/cases/{case_id}").json()["images"]
    assert image["retake_advice"] == []


def test_a_clinician_reads_which_members_agree(
    api: Any, clinician: httpx.Client, image_id: UUID
) -> None:
    sure, unsure = [0.0, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 9.0, 0.0]
    case_id = score(api, image_id, 0.4, FINE, tiny_a=sure, tiny_b=unsure)
    (image,) = clinician.get(f"/v1/cases/{case_id}").json()["review"]["images"]
    assert image["assessment"]["explanation"] == (
        "1 of 2 networks say severe, 1 low; the score 0.40 lies between the thresholds 0.30 and"
        " 0.60."
    )


def test_a_clinician_sees_the_heat_map_and_is_written_down(
    api: Any, clinician: httpx.Client, image_id: UUID
) -> None:
    score(api, image_id, 0.9, FINE)
    with api.sessions() as session:
        name = release_name(session)
    ImageStore.from_settings(api.settings).put_heat_map(image_id, name, b"\xff\xd8picture\xff\xd9")

    answer = clinician.get(f"/v1/images/{image_id}/heatmap")

    assert (answer.status_code, answer.content) == (200, b"\xff\xd8picture\xff\xd9")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["dermtriage-release"] == name
    with api.sessions() as session:
        seen = session.scalars(
            select(AuditEntry).where(AuditEntry.action == "heatmap.viewed")
        ).one()
    assert seen.detail == {"image_id": str(image_id)}


def test_after_a_night_without_a_new_map_the_earlier_one_is_shown(
    api: Any, clinician: httpx.Client, image_id: UUID
) -> None:
    score(api, image_id, 0.9, FINE)
    with api.sessions.begin() as session:
        first = active_release(session)
        add_release(session, name="next", manifest=first.manifest, sha256=b"n" * 32)
        activate_release(
            session, name="next", minimum_sensitivity=0, actor="tests", override_reason="a test"
        )
        next_id = active_release(session).id
        session.execute(
            text(
                "INSERT INTO assessments SELECT :new, image_id, p_severe, probabilities,"
                " disagreement, out_of_scope, members, quality, inputs, device FROM assessments"
            ),
            {"new": next_id},
        )
        session.execute(text("UPDATE images SET release_id = :new"), {"new": next_id})
        name = first.name
    store = ImageStore.from_settings(api.settings)

    def asked() -> tuple[bytes, str]:
        answer = clinician.get(f"/v1/images/{image_id}/heatmap")
        return answer.content, answer.headers["dermtriage-release"]

    store.put_heat_map(image_id, name, b"\xff\xd8old\xff\xd9")
    assert asked() == (b"\xff\xd8old\xff\xd9", name)
    store.put_heat_map(image_id, "next", b"\xff\xd8new\xff\xd9")
    assert asked() == (b"\xff\xd8new\xff\xd9", "next")


def test_there_may_be_none(api: Any, clinician: httpx.Client, image_id: UUID) -> None:
    def asked() -> tuple[int, str]:
        answer = clinician.get(f"/v1/images/{image_id}/heatmap")
        return answer.status_code, answer.json()["code"]

    assert asked() == (404, "heatmap_missing")
    score(api, image_id, 0.1, FINE)
    assert asked() == (404, "heatmap_missing")
    unknown = clinician.get(f"/v1/images/{UUID(int=1)}/heatmap")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "image_not_found")


def test_a_clinic_sees_no_heat_map(api: Any, clinic: httpx.Client, image_id: UUID) -> None:
    answer = clinic.get(f"/v1/images/{image_id}/heatmap")
    assert (answer.status_code, answer.json()["code"]) == (403, "clinician_only")
