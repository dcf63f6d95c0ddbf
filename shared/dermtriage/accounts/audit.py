"""The audit trail: who saw and did what, without patient data."""

from typing import Any, Literal
from uuid import UUID

from sqlalchemy.orm import Session

from dermtriage.database.bulk import insert_rows
from dermtriage.models import AuditEntry


def record(
    session: Session,
    *,
    actor_kind: Literal["clinic", "clinician", "operator"],
    actor_id: UUID | None,
    action: str,
    case_id: UUID | None = None,
    **detail: Any,
) -> None:
    """Add one act to the trail; it is kept if the caller's transaction is. See `entry`."""
    insert_rows(
        session,
        [entry(actor_kind=actor_kind, actor_id=actor_id, action=action, case_id=case_id, **detail)],
    )


def entry(
    *,
    actor_kind: Literal["clinic", "clinician", "operator"],
    actor_id: UUID | None,
    action: str,
    case_id: UUID | None = None,
    **detail: Any,
) -> AuditEntry:
    """Return the row that tells of one act, to be inserted with others.

    Parameters
    ----------
    action
        A dotted word such as ``case.viewed``.
    detail
        Identifiers and counts only.
    """
    return AuditEntry(
        actor_kind=actor_kind,
        actor_id=actor_id,
        action=action,
        case_id=case_id,
        detail={key: str(value) for key, value in detail.items()},
    )
