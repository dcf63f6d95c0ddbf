"""Intake: verify, hash, store, insert. What got a receipt is never lost."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from dermtriage.accounts import audit
from dermtriage.cases.decisions import current_decision
from dermtriage.cases.placement import place_new
from dermtriage.core.enums import CaseState, ImageType, Outcome, Priority, Scoring
from dermtriage.core.errors import ImageRejected, RequestRejected, Unavailable
from dermtriage.core.ids import new_id
from dermtriage.imaging.validation import inspect
from dermtriage.intake import idempotency
from dermtriage.intake.idempotency import Request, fingerprint
from dermtriage.intake.receipts import Receipt
from dermtriage.intake.referral import CaseMetadata
from dermtriage.models import Case, Image, PendingImage, TriageEvent
from dermtriage.releases.queries import active_policy
from dermtriage.storage.image_store import ImageStore
from dermtriage.triage.case_severity import ImageStatus
from dermtriage.triage.lanes import retake_priority
from dermtriage.triage.policy import Policy


def receive_case(
    session: Session,
    store: ImageStore,
    *,
    clinic_id: UUID,
    idempotency_key: str,
    metadata: CaseMetadata,
    files: Sequence[bytes],
    now: datetime,
) -> Receipt:
    """Take in one referral with its photographs, once.

    The photographs are in the store when this returns; the rows are in the caller's transaction.
    If its commit fails, the caller calls `discard`.

    Raises
    ------
    RequestRejected
        If the metadata and the files contradict each other.
    ImageRejected
        If a file is no acceptable photograph; its ``field`` names which.
    Conflict
        If the same request is being handled at this moment.
    IdempotencyMismatch
        If the key was used before with other content.
    ConfigurationError
        If no policy is active.
    Unavailable
        If the store is out of reach.
    """
    if len(files) != len(metadata.images):
        raise RequestRejected(
            f"{len(metadata.images)} images are described, {len(files)} were sent.",
            field="images",
            remedy="Describe each file once in metadata.images, in the order of the files.",
            code="image_count_mismatch",
        )
    digests = [hashlib.sha256(data).digest() for data in files]
    request = Request(clinic_id, idempotency_key, fingerprint(metadata, digests))
    earlier_id = idempotency.begin(session, request)
    if earlier_id is not None:
        case = session.get_one(Case, earlier_id, options=[selectinload(Case.images)])
        return Receipt.of(case, created=False)

    policy_id, policy = active_policy(session)
    images = [
        _inspect(position, data, digest, metadata)
        for position, (data, digest) in enumerate(zip(files, digests, strict=True))
    ]
    replaced = _replaced_case(session, clinic_id, metadata.replaces_case_id)
    fields = metadata.model_dump(exclude={"images"})
    if replaced is not None:
        fields["priority"] = retake_priority(
            metadata.priority, replaced.priority, replaced.severity
        )
    case = _new_case(policy, clinic_id, fields, images, now)
    _store_all(store, images, files)
    try:
        session.add(case)
        session.flush()  # the rows below refer to the case, which no relationship tells SQLAlchemy
        audit.record(
            session,
            actor_kind="clinic",
            actor_id=clinic_id,
            action="case.received",
            case_id=case.id,
            images=len(images),
        )
        session.add_all([*_pending(case), request.row(case.id)])
        session.add(_event(case, "received", policy_id))
        if replaced is not None and replaced.state is CaseState.AWAITING_RETAKE:
            replaced.state, replaced.changed_at = CaseState.DECIDED, now
            session.add(
                _event(replaced, "replaced", policy_id, from_state=CaseState.AWAITING_RETAKE)
            )
        session.flush()  # a refused row must show while the originals can still be removed
    except BaseException:
        _remove(store, [image.id for image in images])
        raise
    return Receipt.of(case, created=True)


def discard(store: ImageStore, receipt: Receipt) -> None:
    """Remove the photographs of a case whose commit failed.

    A commit whose answer was lost may have succeeded: then call this only after a new
    transaction did not find the case.
    """
    if receipt.created:
        _remove(store, [image.image_id for image in receipt.images])


def _inspect(position: int, data: bytes, digest: bytes, metadata: CaseMetadata) -> Image:
    described = metadata.images[position]
    try:
        if data and digest.hex() != described.sha256:
            raise ImageRejected(
                "The bytes that arrived do not have the SHA-256 that was sent with them.",
                remedy="Send the photograph again; it changed or broke on its way.",
                code="checksum_mismatch",
            )
        facts = inspect(data)
    except ImageRejected as error:
        error.field = f"images[{position}]"
        raise
    overview = described.image_type is ImageType.OVERVIEW
    return Image(
        id=new_id(),
        position=position,
        image_type=described.image_type,
        media_type=facts.media_type,
        sha256=digest,
        byte_size=len(data),
        width=facts.width,
        height=facts.height,
        scoring=Scoring.NOT_SCORED if overview else Scoring.PENDING,
    )


def _replaced_case(session: Session, clinic_id: UUID, case_id: UUID | None) -> Case | None:
    """Return the case that asked for this retake; a late score may have reopened it."""
    if case_id is None:
        return None
    case = session.scalar(
        select(Case).where(Case.id == case_id, Case.clinic_id == clinic_id).with_for_update()
    )
    decision = current_decision(session, case.id) if case else None
    if (
        case is None
        or case.state not in {CaseState.AWAITING_RETAKE, CaseState.OPEN}
        or decision is None
        or decision.outcome is not Outcome.RETAKE
        or session.scalar(select(Case.id).where(Case.replaces_case_id == case.id)) is not None
    ):
        raise RequestRejected(
            "No case of yours with this id awaits a retake.",
            field="metadata.replaces_case_id",
            remedy="Name the case whose outcome asked for a retake, or leave the field out.",
            code="replaces_unknown_case",
        )
    return case


def _new_case(
    policy: Policy,
    clinic_id: UUID,
    fields: dict[str, Any],
    images: list[Image],
    now: datetime,
) -> Case:
    statuses = [ImageStatus(image.scoring) for image in images]
    place = place_new(statuses, fields["priority"], now, policy)
    return Case(
        id=new_id(),
        clinic_id=clinic_id,
        received_at=now,
        changed_at=now,
        state=CaseState.OPEN,
        severity=place.severity,
        latest_severity=place.severity,
        lane=place.lane,
        due_at=place.due_at,
        ages_at=place.ages_at,
        images=images,
        **fields,
    )


def _pending(case: Case) -> list[PendingImage]:
    return [
        PendingImage(
            image_id=image.id,
            case_id=case.id,
            # Among what is unscored, only the referrer can say what is more urgent. The order of
            # the words counts, not their lanes: `stat` goes before any backlog of `asap`.
            priority_rank=list(Priority).index(case.priority),
            due_at=case.due_at,
        )
        for image in case.images
        if image.scoring is Scoring.PENDING
    ]


def _event(
    case: Case, kind: str, policy_id: int, from_state: CaseState | None = None
) -> TriageEvent:
    return TriageEvent(
        case_id=case.id,
        kind=kind,
        from_severity=case.severity if from_state else None,
        to_severity=case.severity,
        from_lane=case.lane if from_state else None,
        to_lane=case.lane,
        from_state=from_state,
        to_state=case.state,
        policy_id=policy_id,
    )


def _store_all(store: ImageStore, images: Sequence[Image], files: Sequence[bytes]) -> None:
    try:
        for image, data in zip(images, files, strict=True):
            store.put_original(image.id, data)
    except BaseException:
        _remove(store, [image.id for image in images])
        raise


def _remove(store: ImageStore, image_ids: Sequence[UUID]) -> None:
    # If the store is gone as well, the nightly sweep removes what no row names.
    with suppress(Unavailable):
        for image_id in image_ids:
            store.delete_original(image_id)
