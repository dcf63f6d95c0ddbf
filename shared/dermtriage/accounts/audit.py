"""The audit log: who saw and did what, without patient data."""

from typing import Any, Literal
from uuid import UUID

from sqlalchemy.orm import Session

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
    """Add one action to the audit log, as part of the caller's transaction.

    Parameters
    ----------
    action
        A dotted name such as ``case.viewed``.
    detail
        Identifiers and counts only.
    """
    session.add(
        AuditEntry(
            actor_kind=actor_kind,
            actor_id=actor_id,
            action=action,
            case_id=case_id,
            detail={key: str(value) for key, value in detail.items()},
        )
    )
