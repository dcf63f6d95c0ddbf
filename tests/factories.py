"""Rows as the domain itself makes them, each by one call."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache
from time import monotonic, sleep
from typing import Any, TypeVar, cast
from uuid import UUID, uuid4

from sqlalchemy import select, text
from sqlalchemy.orm import Session, sessionmaker
from tests import photographs

from dermtriage.cases.decisions import current_decision
from dermtriage.core.enums import CLASSES, CaseState, ImageType, Outcome, Priority, Role, Severity
from dermtriage.core.ids import new_id
from dermtriage.intake.idempotency import Request, find_receipt, fingerprint
from dermtriage.intake.photographs import new_images, store_originals
from dermtriage.intake.receipts import Receipt
from dermtriage.intake.referral import CaseMetadata
from dermtriage.intake.service import insert_case
from dermtriage.intake.submission import submit_case
from dermtriage.models import (
    Case,
    Clinic,
    Clinician,
    Decision,
    Image,
    PendingImage,
    TriageEvent,
)
from dermtriage.releases.queries import active_release
from dermtriage.review import claims, decisions
from dermtriage.scoring import recording
from dermtriage.scoring.lease_acquisition import acquire_leases, acquire_suspect
from dermtriage.scoring.leases import Lease
from dermtriage.scoring.recording import ScoredImage
from dermtriage.storage.image_store import ImageStore

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
"""A working morning; the tests' policy counts working days in UTC."""

TUESDAY, WEDNESDAY, FRIDAY, NEXT_MONDAY = (MONDAY + timedelta(days=days) for days in (1, 2, 4, 7))

LOW, INDETERMINATE, SEVERE = 0.1, 0.4, 0.9
"""Scores on the three sides of the tests' thresholds, 0.3 and 0.6."""

T = TypeVar("T")

photograph = cache(photographs.jpeg)


class NoStore:
    """A store that accepts every photograph and keeps none, for tests that read only rows."""

    def put_original(self, image_id: UUID, data: bytes) -> None:
        """Accept it."""

    def delete_original(self, image_id: UUID) -> None:
        """Accept that it is deleted."""


def clinic(session: Session, name: str | None = None) -> UUID:
    """Add a clinic."""
    added = Clinic(name=name or f"clinic {uuid4()}")
    session.add(added)
    session.flush()
    return added.id


def clinician(session: Session, username: str | None = None) -> UUID:
    """Add a clinician who cannot log in: hashing a password takes long on purpose."""
    name = username or f"clinician {uuid4()}"
    added = Clinician(username=name, display_name=name, role=Role.CLINICIAN, password_hash="-")
    session.add(added)
    session.flush()
    return added.id


def metadata(
    files: Sequence[bytes], types: Sequence[ImageType] = (), **fields: Any
) -> CaseMetadata:
    """Describe files as their clinic would."""
    kinds = list(types) or [ImageType.DERMOSCOPIC] * len(files)
    described = [
        {"image_type": kind, "sha256": photographs.sha256(data)}
        for kind, data in zip(kinds, files, strict=True)
    ]
    return CaseMetadata.model_validate({"images": described, **fields})


def receive(
    session: Session,
    clinic_id: UUID,
    *,
    store: ImageStore | None = None,
    images: int = 1,
    types: Sequence[ImageType] = (),
    files: Sequence[bytes] = (),
    key: str | None = None,
    now: datetime = MONDAY,
    **fields: Any,
) -> Receipt:
    """Take in a case of new photographs, or of the files that are given, in a test's transaction.

    The steps are those of `submit_case`, which has its own transactions.
    """
    chosen = list(files) or [photograph(seed) for seed in range(len(types) or images)]
    described = metadata(chosen, types, **fields)
    digests = [hashlib.sha256(data).digest() for data in chosen]
    request = Request(clinic_id, key or str(uuid4()), fingerprint(described, digests))
    if earlier := find_receipt(session, request):
        return earlier
    rows = new_images(described.images, chosen, digests)
    store_originals(store or cast(ImageStore, NoStore()), rows, chosen)
    return insert_case(session, request, described, rows, now)


def submit(
    sessions: sessionmaker[Session],
    store: ImageStore,
    clinic_id: UUID,
    *,
    files: Sequence[bytes] | None = None,
    described: CaseMetadata | None = None,
    types: Sequence[ImageType] = (),
    key: str = "a key",
    **fields: Any,
) -> Receipt:
    """Submit a case as the API does; its metadata describe its files unless they are given."""
    chosen = [photograph(1)] if files is None else files
    return submit_case(
        sessions,
        store,
        clinic_id=clinic_id,
        idempotency_key=key,
        metadata=described or metadata(chosen, types, **fields),
        files=chosen,
    )


def case(session: Session, receipt: Receipt) -> Case:
    """Return the case of a receipt as the database has it now."""
    return session.get_one(Case, receipt.case_id, populate_existing=True)


def image(session: Session, image_id: UUID) -> Image:
    """Return an image as the database has it now."""
    return session.get_one(Image, image_id, populate_existing=True)


_SEVERITY_OF_LANE = (
    Severity.SEVERE,
    Severity.UNSCORED,
    Severity.INDETERMINATE,
    Severity.LOW,
)


def case_in_lane(
    session: Session, clinic_id: UUID, lane: int, due_at: datetime = MONDAY, **changes: Any
) -> UUID:
    """Add the row of a case in a lane of the worklist, without images."""
    severity = _SEVERITY_OF_LANE[lane]
    fields: dict[str, Any] = {
        "id": new_id(),
        "clinic_id": clinic_id,
        "received_at": MONDAY,
        "priority": Priority.ROUTINE,
        "state": CaseState.OPEN,
        "severity": severity,
        "latest_severity": severity,
        "lane": lane,
        "due_at": due_at,
        "changed_at": MONDAY,
    }
    added = Case(**fields | changes)
    session.add(added)
    return added.id


def lease_images(session: Session, **changes: Any) -> list[Lease]:
    """Lease up to 100 images, as the only worker would."""
    arguments: dict[str, Any] = {
        "worker_id": uuid4(),
        "first": None,
        "batch": 100,
        "slots": 1,
        "lease_seconds": 60,
        "max_attempts": 3,
    }
    return acquire_leases(session, **arguments | changes)


def lease_suspect(session: Session, **changes: Any) -> Lease | None:
    """Lease the most urgent suspect, as the only worker would."""
    arguments: dict[str, Any] = {"worker_id": uuid4(), "lease_seconds": 60, "max_attempts": 3}
    return acquire_suspect(session, **arguments | changes)


def lease_image(session: Session, image_id: UUID, **changes: Any) -> Lease:
    """Lease one image; a suspect has to be the most urgent one."""
    row = session.get_one(PendingImage, image_id, populate_existing=True)
    if row.suspect or row.lease_token is not None:
        suspect = lease_suspect(session, **changes)
        assert suspect is not None
        leases = [suspect]
    else:
        leases = lease_images(session, first=image_id, batch=1, **changes)
    assert [lease.image_id for lease in leases] == [image_id]
    return leases[0]


def exhaust(session: Session, image_id: UUID) -> Lease:
    """Have an image kill its worker until no attempts are left; return its last lease."""
    lease_image(session, image_id, lease_seconds=-1)
    # The first death does not count: nobody knows whether it was alone.
    for _ in range(3):
        lease = lease_image(session, image_id, lease_seconds=-1)
    return lease


def result(lease: Lease, p_severe: float, disagreement: float = 0.0) -> ScoredImage:
    """Return what an ensemble would predict for a leased image."""
    return ScoredImage(
        lease=lease,
        p_severe=p_severe,
        probabilities=dict.fromkeys(CLASSES, 1 / len(CLASSES)),
        disagreement=disagreement,
        out_of_scope=None,
        members={"a": [0.0] * len(CLASSES)},
        quality={"sharpness": 1.0},
        inputs={},
    )


def record(session: Session, results: Sequence[ScoredImage], now: datetime = MONDAY) -> int:
    """Record results as the active release's."""
    return recording.record_scores(
        session, results, release_id=active_release(session).id, device="cpu", now=now
    )


def score(session: Session, image_id: UUID, p_severe: float, now: datetime = MONDAY) -> None:
    """Lease a pending image and record a score."""
    assert record(session, [result(lease_image(session, image_id), p_severe)], now) == 1


def decide(
    session: Session,
    case_id: UUID,
    clinician_id: UUID,
    outcome: Outcome = Outcome.REFER_ROUTINE,
    now: datetime = MONDAY,
) -> Decision:
    """Claim a case in any state and decide it; the decision supersedes the current one."""
    claim = claims.claim_case(
        session, case_id=case_id, clinician_id=clinician_id, now=now, lifetime=60
    )
    standing = current_decision(session, case_id)
    return decisions.decide(
        session,
        case_id=case_id,
        clinician_id=clinician_id,
        token=claim.token,
        triage_version=session.get_one(Case, case_id).triage_version,
        outcome=outcome,
        supersedes_id=standing.id if standing else None,
        now=now,
    )


def events(session: Session, receipt: Receipt) -> Sequence[TriageEvent]:
    """Return the history of a case."""
    return session.scalars(
        select(TriageEvent).where(TriageEvent.case_id == receipt.case_id).order_by(TriageEvent.id)
    ).all()


def change_of(event: TriageEvent) -> tuple[str, str | None, str, int | None, int]:
    """Return the kind of an event, and the severities and lanes before and after it."""
    return event.kind, event.from_severity, event.to_severity, event.from_lane, event.to_lane


def is_blocked(session: Session) -> bool:
    """Return whether any connection to this database waits for a lock."""
    statement = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(session.scalar(statement))


def wait_until_blocked(sessions: sessionmaker[Session]) -> None:
    """Return once a connection to this database waits for a lock."""
    until = monotonic() + 20
    while True:
        # A transaction sees the activity of others as it was at its first read.
        with sessions() as session:
            if is_blocked(session):
                return
        assert monotonic() < until, "no connection waits for a lock"
        sleep(0.01)


def run_concurrently(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Start calls at the same moment, each in its own thread, and return their results."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        barrier.wait(20)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls, timeout=60))
