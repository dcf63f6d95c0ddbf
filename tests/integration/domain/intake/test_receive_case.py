"""Rows, files, events and receipt of a received case."""

import hashlib
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import MONDAY, photograph
from tests.integration.domain.intake.contents import stored_files

from dermtriage.core.enums import CaseState, ImageType, Priority, Scoring, Severity
from dermtriage.core.settings import Settings
from dermtriage.models import AuditEntry, PendingImage, TriageEvent
from dermtriage.storage.image_store import ImageStore

OVERVIEW, DERMOSCOPIC, CLOSE_UP = ImageType.OVERVIEW, ImageType.DERMOSCOPIC, ImageType.CLOSE_UP


def test_a_receipt_confirms_rows_and_files(
    sessions: sessionmaker[Session], store: ImageStore, settings: Settings, clinic_id: UUID
) -> None:
    files = [photograph(1), photograph(2), photograph(3)]
    with sessions.begin() as session:
        receipt = factories.receive(
            session,
            clinic_id,
            store=store,
            files=files,
            types=[OVERVIEW, DERMOSCOPIC, CLOSE_UP],
            priority="urgent",
            clinic_reference="R-17",
            history={"changed": True},
        )
    assert receipt.created
    assert (receipt.received_at, receipt.priority) == (MONDAY, Priority.URGENT)
    assert [i.sha256 for i in receipt.images] == [hashlib.sha256(f).hexdigest() for f in files]
    assert [i.byte_size for i in receipt.images] == [len(data) for data in files]
    assert receipt.pending_image_ids == [i.image_id for i in receipt.images[1:]]

    assert sorted(stored_files(settings).values()) == sorted(files)
    with sessions() as session:
        case = factories.case(session, receipt)
        assert (case.clinic_id, case.clinic_reference) == (clinic_id, "R-17")
        assert case.history == {"changed": True}
        assert (case.state, case.severity, case.lane) == (CaseState.OPEN, Severity.UNSCORED, 1)
        assert case.latest_severity is Severity.UNSCORED
        assert case.due_at == MONDAY + timedelta(days=2)
        assert (case.triage_version, case.ages_at, case.recalled_at) == (0, None, None)
        assert [image.id for image in case.images] == [i.image_id for i in receipt.images]
        assert [image.position for image in case.images] == [0, 1, 2]
        assert [image.scoring for image in case.images] == [
            Scoring.NOT_SCORED,
            Scoring.PENDING,
            Scoring.PENDING,
        ]
        for image, data in zip(case.images, files, strict=True):
            assert store.get_original(image.id, image.sha256) == data
            assert (image.width, image.height, image.media_type) == (160, 120, "image/jpeg")
        waiting = session.scalars(select(PendingImage)).all()
        assert {row.image_id for row in waiting} == set(receipt.pending_image_ids)
        assert all(row.attempts == 0 and row.lease_token is None for row in waiting)
        event = session.scalars(select(TriageEvent)).one()
        assert (event.case_id, event.kind, event.from_state) == (case.id, "received", None)
        assert (event.to_state, event.to_severity, event.to_lane) == ("open", "unscored", 1)
        entry = session.scalars(select(AuditEntry)).one()
        assert (entry.actor_kind, entry.actor_id) == ("clinic", clinic_id)
        assert (entry.action, entry.case_id) == ("case.received", case.id)
        assert entry.detail == {"images": "3"}


@pytest.mark.parametrize(
    ("priority", "lane", "days"),
    [("stat", 0, 0), ("asap", 0, 1), ("urgent", 1, 2), ("routine", 1, 2)],
)
def test_the_priority_places_an_unscored_case(
    sessions: sessionmaker[Session], clinic_id: UUID, priority: str, lane: int, days: int
) -> None:
    with sessions.begin() as session:
        receipt = factories.receive(session, clinic_id, priority=priority)
        case = factories.case(session, receipt)
        assert case.lane == lane
        assert case.due_at.date() == (MONDAY + timedelta(days=days)).date()


def test_a_case_of_overviews_alone_is_unscored_in_lane_1(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        receipt = factories.receive(session, clinic_id, types=[OVERVIEW])
        assert receipt.pending_image_ids == []
        assert session.scalars(select(PendingImage)).all() == []
        case = factories.case(session, receipt)
        assert (case.severity, case.lane) == (Severity.UNSCORED, 1)


@pytest.mark.parametrize(
    "hostile",
    [
        "../../../etc/passwd",
        "'; DROP TABLE cases; --",
        "%s %(x)s {0}",
        "\u202e\U0001f9b6",
        "x" * 100,
    ],
)
def test_hostile_identifiers_are_stored_as_text_and_never_used_as_paths(
    sessions: sessionmaker[Session],
    store: ImageStore,
    settings: Settings,
    clinic_id: UUID,
    hostile: str,
) -> None:
    identifiers = dict.fromkeys(
        ("clinic_reference", "patient_id", "lesion_id", "anatom_site"), hostile
    )
    with sessions.begin() as session:
        receipt = factories.receive(
            session, clinic_id, store=store, key=hostile, history={hostile: hostile}, **identifiers
        )
    with sessions() as session:
        case = factories.case(session, receipt)
        assert {name: getattr(case, name) for name in identifiers} == identifiers
        assert case.history == {hostile: hostile}
    (image,) = receipt.images
    assert set(stored_files(settings)) == {f"originals/{image.image_id.hex[-2:]}/{image.image_id}"}
