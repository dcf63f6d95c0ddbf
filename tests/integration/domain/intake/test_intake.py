"""What got a receipt is there in full, and what was refused has left nothing."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import MONDAY, photograph

from dermtriage.core.enums import CaseState, ImageType, Outcome, Priority, Scoring, Severity
from dermtriage.core.errors import (
    Conflict,
    DermtriageError,
    IdempotencyMismatch,
    ImageRejected,
    RequestRejected,
    Unavailable,
)
from dermtriage.core.settings import Settings
from dermtriage.database.base import Base
from dermtriage.intake import service
from dermtriage.intake.receipts import Receipt
from dermtriage.models import AuditEntry, Case, Image, IntakeRequest, PendingImage, TriageEvent
from dermtriage.storage.image_store import ImageStore

OVERVIEW, DERMOSCOPIC, CLOSE_UP = ImageType.OVERVIEW, ImageType.DERMOSCOPIC, ImageType.CLOSE_UP


def stored(settings: Settings) -> dict[str, bytes]:
    """Return every object of the store by its key."""
    folder = Path(settings.store_url.removeprefix("file://"))
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def rows(sessions: sessionmaker[Session]) -> dict[str, int]:
    """Return how many rows each table has that intake writes to."""
    with sessions() as session:
        return {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
            if table.name
            not in {"clinics", "clinicians", "releases", "release_activations", "policies"}
        }


# What is taken in


def test_a_receipt_stands_for_rows_and_bytes(
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

    assert sorted(stored(settings).values()) == sorted(files)
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
            assert store.get_original(image.id) == data
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
def test_the_referrer_decides_how_an_unscored_case_stands(
    sessions: sessionmaker[Session], clinic_id: UUID, priority: str, lane: int, days: int
) -> None:
    with sessions.begin() as session:
        receipt = factories.receive(session, clinic_id, priority=priority)
        case = factories.case(session, receipt)
        assert case.lane == lane
        assert case.due_at.date() == (MONDAY + timedelta(days=days)).date()


def test_an_overview_alone_is_not_scored_and_stands_high(
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
def test_hostile_identifiers_are_kept_as_words_and_name_nothing(
    sessions: sessionmaker[Session],
    store: ImageStore,
    settings: Settings,
    clinic_id: UUID,
    hostile: str,
) -> None:
    said = dict.fromkeys(("clinic_reference", "patient_id", "lesion_id", "anatom_site"), hostile)
    with sessions.begin() as session:
        receipt = factories.receive(
            session, clinic_id, store=store, key=hostile, history={hostile: hostile}, **said
        )
    with sessions() as session:
        case = factories.case(session, receipt)
        assert {name: getattr(case, name) for name in said} == said
        assert case.history == {hostile: hostile}
    (image,) = receipt.images
    assert set(stored(settings)) == {f"originals/{image.image_id.hex[-2:]}/{image.image_id}"}


# The same request again


def test_the_same_request_twice_makes_one_case(
    sessions: sessionmaker[Session], store: ImageStore, settings: Settings, clinic_id: UUID
) -> None:
    def send() -> Receipt:
        with sessions.begin() as session:
            return factories.receive(
                session,
                clinic_id,
                store=store,
                files=[photograph(1), photograph(2)],
                key="a key",
                now=MONDAY,
                patient_id="p",
            )

    first = send()
    before = rows(sessions), stored(settings)
    again = send()
    assert again == replace(first, created=False)
    assert again.pending_image_ids == []
    assert (rows(sessions), stored(settings)) == before


@pytest.mark.parametrize(
    "other",
    [
        {"files": [photograph(2)]},
        {"files": [photograph(1), photograph(2)]},
        {"priority": "stat"},
        {"patient_id": "somebody else"},
        {"types": [OVERVIEW]},
    ],
    ids="".join,
)
def test_the_same_key_with_other_content_is_refused(
    sessions: sessionmaker[Session],
    store: ImageStore,
    settings: Settings,
    clinic_id: UUID,
    other: dict[str, Any],
) -> None:
    request = {"files": [photograph(1)], "key": "a key", "store": store}
    with sessions.begin() as session:
        factories.receive(session, clinic_id, **request)
    before = rows(sessions), stored(settings)
    with pytest.raises(IdempotencyMismatch) as refused, sessions.begin() as session:
        factories.receive(session, clinic_id, **request | other)
    assert refused.value.code == "idempotency_key_reused"
    assert (rows(sessions), stored(settings)) == before


def test_two_clinics_may_use_the_same_key(sessions: sessionmaker[Session], clinic_id: UUID) -> None:
    with sessions.begin() as session:
        other = factories.clinic(session)
        one = factories.receive(session, clinic_id, key="a key")
        two = factories.receive(session, other, key="a key")
    assert two.created
    assert one.case_id != two.case_id


def test_a_request_that_is_being_handled_conflicts_and_then_gets_its_receipt(
    sessions: sessionmaker[Session], store: ImageStore, settings: Settings, clinic_id: UUID
) -> None:
    with sessions.begin() as first:
        receipt = factories.receive(first, clinic_id, store=store, key="a key")
        with pytest.raises(Conflict) as refused, sessions.begin() as second:
            factories.receive(second, clinic_id, store=store, key="a key")
        assert refused.value.code == "request_in_progress"
        with sessions.begin() as third:  # another key is no conflict
            factories.receive(third, clinic_id, key="another key")
    with sessions.begin() as again:
        repeated = factories.receive(again, clinic_id, store=store, key="a key")
        assert repeated == replace(receipt, created=False)
    assert len(stored(settings)) == 1


def test_a_repeat_whose_transaction_began_before_the_first_s_commit_gets_the_receipt(
    sessions: sessionmaker[Session], store: ImageStore, settings: Settings, clinic_id: UUID
) -> None:
    with sessions.begin() as late:
        late.execute(select(1))
        with sessions.begin() as session:
            receipt = factories.receive(session, clinic_id, store=store, key="a key")
        repeated = factories.receive(late, clinic_id, store=store, key="a key")
    assert repeated == replace(receipt, created=False)
    assert len(stored(settings)) == 1


def test_a_request_that_failed_may_be_sent_again(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions() as session:
        factories.receive(session, clinic_id, key="a key")
        session.rollback()
    with sessions.begin() as session:
        assert factories.receive(session, clinic_id, key="a key").created


def test_many_at_once_make_one_case(sessions: sessionmaker[Session], clinic_id: UUID) -> None:
    def send() -> Receipt | None:
        try:
            with sessions.begin() as session:
                return factories.receive(session, clinic_id, key="a key")
        except Conflict:
            return None

    receipts = [receipt for receipt in factories.together([send] * 6) if receipt]
    assert sum(receipt.created for receipt in receipts) == 1
    assert len({receipt.case_id for receipt in receipts}) == 1
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(Case)) == 1
        assert session.scalar(select(func.count()).select_from(Image)) == 1


# What is refused


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


Bad = tuple[str, str, Callable[[], dict[str, Any]]]

BAD: dict[str, Bad] = {
    "too few files": (
        "image_count_mismatch",
        "images",
        lambda: {"metadata": factories.metadata([photograph(1), photograph(2)])},
    ),
    "no file": (
        "image_count_mismatch",
        "images",
        lambda: {"metadata": factories.metadata([photograph(1)]), "files": []},
    ),
    "other bytes": (
        "checksum_mismatch",
        "images[1]",
        lambda: {
            "metadata": factories.metadata([photograph(1), photograph(2)]),
            "files": [photograph(1), photograph(3)],
        },
    ),
    "files in another order": (
        "checksum_mismatch",
        "images[0]",
        lambda: {
            "metadata": factories.metadata([photograph(1), photograph(2)]),
            "files": [photograph(2), photograph(1)],
        },
    ),
    "empty": ("empty_image", "images[1]", lambda: _sent(photograph(1), b"")),
    "truncated": ("truncated_image", "images[0]", lambda: _sent(_cut(photograph(1)))),
    "no image": ("unsupported_media_type", "images[1]", lambda: _sent(photograph(1), b"%PDF-1.7")),
    "too small": (
        "image_too_small",
        "images[0]",
        lambda: _sent(factories.photographs.jpeg(0, (100, 63))),
    ),
    "replaces nothing": (
        "replaces_unknown_case",
        "metadata.replaces_case_id",
        lambda: {"metadata": factories.metadata([photograph(1)], replaces_case_id=uuid4())},
    ),
}


def _sent(*files: bytes) -> dict[str, Any]:
    return {"metadata": factories.metadata(files), "files": files}


@pytest.mark.parametrize("name", BAD)
def test_a_refused_referral_leaves_nothing(
    sessions: sessionmaker[Session],
    store: ImageStore,
    settings: Settings,
    clinic_id: UUID,
    name: str,
) -> None:
    code, field, request = BAD[name]
    before = rows(sessions)
    with pytest.raises((RequestRejected, ImageRejected)) as refused, sessions.begin() as session:
        service.receive_case(
            session,
            store,
            clinic_id=clinic_id,
            idempotency_key="a key",
            now=MONDAY,
            **{"files": [photograph(1)]} | request(),
        )
    assert (refused.value.code, refused.value.field) == (code, field)
    assert refused.value.remedy
    assert rows(sessions) == before
    assert stored(settings) == {}
    with sessions.begin() as session:  # its key is free for the corrected one
        assert factories.receive(session, clinic_id, key="a key").created


class Failing(ImageStore):
    """A store that goes away after so many photographs."""

    def __init__(self, settings: Settings, after: int) -> None:
        super().__init__(settings.store_url, 1)
        self._left = after

    def put_original(self, image_id: UUID, data: bytes) -> None:
        if self._left == 0:
            raise Unavailable("The store is out of reach.", code="store_unavailable")
        self._left -= 1
        super().put_original(image_id, data)


@pytest.mark.parametrize("after", [0, 2])
def test_a_store_that_fails_midway_leaves_nothing(
    sessions: sessionmaker[Session], settings: Settings, clinic_id: UUID, after: int
) -> None:
    before = rows(sessions)
    with pytest.raises(Unavailable), sessions.begin() as session:
        factories.receive(session, clinic_id, store=Failing(settings, after), images=3)
    assert rows(sessions) == before
    assert stored(settings) == {}


def test_a_row_that_the_database_refuses_leaves_nothing(
    sessions: sessionmaker[Session], store: ImageStore, settings: Settings
) -> None:
    before = rows(sessions)
    with pytest.raises(IntegrityError), sessions.begin() as session:
        factories.receive(session, uuid4(), store=store, images=2)
    assert rows(sessions) == before
    assert stored(settings) == {}


def test_a_failed_commit_is_discarded(
    sessions: sessionmaker[Session], store: ImageStore, settings: Settings, clinic_id: UUID
) -> None:
    before = rows(sessions)
    with sessions() as session:
        receipt = factories.receive(session, clinic_id, store=store, images=2)
        assert len(stored(settings)) == 2
        session.rollback()
    service.discard(store, receipt)
    assert rows(sessions) == before
    assert stored(settings) == {}


def test_discarding_a_repetition_keeps_the_case(
    sessions: sessionmaker[Session], store: ImageStore, settings: Settings, clinic_id: UUID
) -> None:
    for _ in range(2):
        with sessions.begin() as session:
            receipt = factories.receive(session, clinic_id, store=store, key="a key")
    service.discard(store, receipt)
    assert len(stored(settings)) == 1


# Retakes


def test_a_retake_answers_the_case_that_asked_for_it(
    sessions: sessionmaker[Session], clinic_id: UUID, clinician_id: UUID
) -> None:
    with sessions.begin() as session:
        old = factories.receive(session, clinic_id)
        factories.decide(session, old.case_id, clinician_id, Outcome.RETAKE)
    later = MONDAY + timedelta(hours=3)
    with sessions.begin() as session:
        new = factories.receive(session, clinic_id, now=later, replaces_case_id=old.case_id)
    with sessions() as session:
        replaced = factories.case(session, old)
        assert (replaced.state, replaced.changed_at) == (CaseState.DECIDED, later)
        assert factories.case(session, new).replaces_case_id == old.case_id
        event = factories.events(session, old)[-1]
        assert (event.kind, event.from_state, event.to_state) == (
            "replaced",
            "awaiting_retake",
            "decided",
        )
        assert factories.case(session, new).state is CaseState.OPEN


@pytest.mark.parametrize("outcome", [None, Outcome.REFER_ROUTINE])
def test_only_a_case_that_awaits_a_retake_is_replaced(
    sessions: sessionmaker[Session], clinic_id: UUID, clinician_id: UUID, outcome: Outcome | None
) -> None:
    with sessions.begin() as session:
        old = factories.receive(session, clinic_id)
        if outcome:
            factories.decide(session, old.case_id, clinician_id, outcome)
    with pytest.raises(RequestRejected) as refused, sessions.begin() as session:
        factories.receive(session, clinic_id, replaces_case_id=old.case_id)
    assert refused.value.code == "replaces_unknown_case"


@pytest.mark.parametrize(
    ("p_severe", "before", "asked", "priority", "lane"),
    [
        (factories.LOW, "routine", "routine", "routine", 1),
        (factories.LOW, "urgent", "routine", "urgent", 1),
        (factories.LOW, "stat", "asap", "stat", 0),
        (factories.LOW, "routine", "asap", "asap", 0),
        (factories.INDETERMINATE, "routine", "routine", "urgent", 1),
        (factories.SEVERE, "routine", "routine", "asap", 0),
    ],
)
def test_a_retake_never_stands_behind_the_case_that_it_replaces(
    sessions: sessionmaker[Session],
    clinic_id: UUID,
    clinician_id: UUID,
    p_severe: float,
    before: str,
    asked: str,
    priority: str,
    lane: int,
) -> None:
    with sessions.begin() as session:
        old = factories.receive(session, clinic_id, priority=before)
        factories.score(session, old.pending_image_ids[0], p_severe)
        factories.decide(session, old.case_id, clinician_id, Outcome.RETAKE)
    with sessions.begin() as session:
        new = factories.receive(session, clinic_id, priority=asked, replaces_case_id=old.case_id)
        assert new.priority == priority
        assert factories.case(session, new).lane == lane


def test_another_clinic_s_case_cannot_be_replaced(
    sessions: sessionmaker[Session], clinic_id: UUID, clinician_id: UUID
) -> None:
    with sessions.begin() as session:
        old = factories.receive(session, clinic_id)
        other = factories.clinic(session)
        factories.decide(session, old.case_id, clinician_id, Outcome.RETAKE)
    with pytest.raises(RequestRejected) as refused, sessions.begin() as session:
        factories.receive(session, other, replaces_case_id=old.case_id)
    assert refused.value.code == "replaces_unknown_case"
    with sessions() as session:
        assert factories.case(session, old).state is CaseState.AWAITING_RETAKE


def test_two_retakes_at_once_replace_a_case_once(
    sessions: sessionmaker[Session], clinic_id: UUID, clinician_id: UUID
) -> None:
    with sessions.begin() as session:
        old = factories.receive(session, clinic_id)
        factories.decide(session, old.case_id, clinician_id, Outcome.RETAKE)

    def send() -> Receipt | DermtriageError:
        try:
            with sessions.begin() as session:
                return factories.receive(session, clinic_id, replaces_case_id=old.case_id)
        except DermtriageError as error:
            return error

    answers = factories.together([send] * 3)
    assert sum(isinstance(answer, Receipt) for answer in answers) == 1
    refused = [answer for answer in answers if isinstance(answer, DermtriageError)]
    assert {error.code for error in refused} == {"replaces_unknown_case"}


def test_a_retake_that_is_sent_twice_gets_its_receipt_again(
    sessions: sessionmaker[Session], clinic_id: UUID, clinician_id: UUID
) -> None:
    with sessions.begin() as session:
        old = factories.receive(session, clinic_id)
        factories.decide(session, old.case_id, clinician_id, Outcome.RETAKE)
    with sessions.begin() as session:
        new = factories.receive(session, clinic_id, key="a key", replaces_case_id=old.case_id)
    with sessions.begin() as session:
        again = factories.receive(session, clinic_id, key="a key", replaces_case_id=old.case_id)
    assert again == replace(new, created=False)


def test_the_idempotency_row_names_its_case(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        receipt = factories.receive(session, clinic_id, key="a key")
        request = session.get_one(IntakeRequest, (clinic_id, "a key"))
        assert request.case_id == receipt.case_id
