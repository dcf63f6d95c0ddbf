"""The history of cases: every change of severity, lane or state is one row."""

from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    SmallInteger,
    String,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from dermtriage.core.enums import CaseState, Severity
from dermtriage.database.base import Base
from dermtriage.models._columns import CreatedAt, enum_type, one_of

KINDS = (
    "received",
    "scored",
    "upgraded",
    "aged",
    "decided",
    "replaced",
    "recalled",
    "lowered",
    "withdrawn",
)


class TriageEvent(Base):
    """One change of a case; the ``from_`` columns are empty if the case is new."""

    __tablename__ = "triage_events"
    __table_args__ = (
        CheckConstraint(f"kind IN ({', '.join(repr(kind) for kind in KINDS)})", name="kind"),
        one_of("from_severity", Severity),
        one_of("to_severity", Severity),
        one_of("from_state", CaseState),
        one_of("to_state", CaseState),
        Index("ix_triage_events_case_id", "case_id", "id"),
        Index(
            "ix_triage_events_run_id", "run_id", "kind", postgresql_where=text("run_id IS NOT NULL")
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    case_id: Mapped[UUID] = mapped_column(ForeignKey("cases.id"))
    at: Mapped[CreatedAt]
    kind: Mapped[str] = mapped_column(String(16))
    from_severity: Mapped[Severity | None] = mapped_column(enum_type(Severity))
    to_severity: Mapped[Severity] = mapped_column(enum_type(Severity))
    from_lane: Mapped[int | None] = mapped_column(SmallInteger)
    to_lane: Mapped[int] = mapped_column(SmallInteger)
    from_state: Mapped[CaseState | None] = mapped_column(enum_type(CaseState))
    to_state: Mapped[CaseState] = mapped_column(enum_type(CaseState))
    policy_id: Mapped[int] = mapped_column(ForeignKey("policies.id"))
    release_id: Mapped[int | None] = mapped_column(ForeignKey("releases.id"))
    """With the image ids below it identifies the assessments that caused the change."""
    image_ids: Mapped[list[str]] = mapped_column(JSONB, default=list)
    run_id: Mapped[UUID | None]
    """The rescore run that caused the change, if one did."""
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
