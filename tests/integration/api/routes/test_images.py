"""Renditions and heat maps are shown to those who may see them."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select, text
from tests.integration.api.scores import score
from tests.photographs import jpeg

from dermtriage.imaging.rendition import make_rendition
from dermtriage.models import AuditEntry
from dermtriage.releases.activation import activate_release, add_release
from dermtriage.releases.queries import active_release
from dermtriage.storage.image_store import ImageStore


@pytest.fixture
def image_id(api: Any) -> UUID:
    return UUID(api.send(jpeg(size=(640, 480))).json()["images"][0]["image_id"])


def test_a_rendition_is_shown_to_its_clinic_and_to_clinicians(
    api, store, clinic, other_clinic, clinician
) -> None:
    # No worker has made the rendition yet: unscored photographs can be viewed too.
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
    _assert_not_found(other_clinic.get(path))
    _assert_not_found(clinician.get(f"/v1/images/{uuid4()}/rendition"))
    with api.client() as client:
        assert client.get(path).status_code == 401
    with api.sessions() as session:
        views = session.scalars(
            select(AuditEntry.actor_kind).where(AuditEntry.action == "rendition.viewed")
        )
        assert sorted(views) == ["clinic", "clinician"]


def test_a_clinicians_view_of_a_heat_map_is_audited(
    api: Any, store: ImageStore, clinician: httpx.Client, image_id: UUID
) -> None:
    score(api, image_id, 0.9)
    with api.sessions() as session:
        name = active_release(session).name
    store.put_heat_map(image_id, name, b"\xff\xd8picture\xff\xd9")

    answer = clinician.get(f"/v1/images/{image_id}/heatmap")

    assert (answer.status_code, answer.content) == (200, b"\xff\xd8picture\xff\xd9")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["dermtriage-release"] == name
    with api.sessions() as session:
        audited = session.scalars(
            select(AuditEntry).where(AuditEntry.action == "heatmap.viewed")
        ).one()
    assert audited.detail == {"image_id": str(image_id)}


def test_the_heat_map_of_an_earlier_release_is_shown_until_there_is_a_newer_one(
    api: Any, store: ImageStore, clinician: httpx.Client, image_id: UUID
) -> None:
    score(api, image_id, 0.9)
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

    def view() -> tuple[bytes, str]:
        answer = clinician.get(f"/v1/images/{image_id}/heatmap")
        return answer.content, answer.headers["dermtriage-release"]

    store.put_heat_map(image_id, name, b"\xff\xd8old\xff\xd9")
    assert view() == (b"\xff\xd8old\xff\xd9", name)
    store.put_heat_map(image_id, "next", b"\xff\xd8new\xff\xd9")
    assert view() == (b"\xff\xd8new\xff\xd9", "next")


def test_a_missing_heat_map_and_a_missing_image_have_different_codes(
    api: Any, clinician: httpx.Client, image_id: UUID
) -> None:
    def view() -> tuple[int, str]:
        answer = clinician.get(f"/v1/images/{image_id}/heatmap")
        return answer.status_code, answer.json()["code"]

    assert view() == (404, "heatmap_missing")
    score(api, image_id, 0.1)
    assert view() == (404, "heatmap_missing")
    unknown = clinician.get(f"/v1/images/{UUID(int=1)}/heatmap")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "image_not_found")


def test_a_clinic_may_not_view_heat_maps(api: Any, clinic: httpx.Client, image_id: UUID) -> None:
    answer = clinic.get(f"/v1/images/{image_id}/heatmap")
    assert (answer.status_code, answer.json()["code"]) == (403, "clinician_only")


def _assert_not_found(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["code"]) == (404, "image_not_found")
