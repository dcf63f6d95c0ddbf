"""What clinicians do with cases: claims, which expire, and decisions, which are permanent."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Sequence, String
from sqlalchemy.orm import Mapped, mapped_column

from dermtriage.core.enums import Outcome, Severity
from dermtriage.database.base import Base
from dermtriage.models._columns import CreatedAt, Id, enum_type, one_of

claim_tokens = Sequence("claim_tokens", metadata=Base.metadata)
"""Fencing tokens: a later claim always has the greater number."""


class ReviewClaim(Base):
    """A clinician's claim on a case; it has no effect once it has expired."""

    __tablename__ = "review_claims"

    case_id: Mapped[UUID] = mapped_column(ForeignKey("cases.id"), primary_key=True)
    clinician_id: Mapped[UUID] = mapped_column(ForeignKey("clinicians.id"), index=True)
    token: Mapped[int] = mapped_column(BigInteger)
    claimed_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]


class Decision(Base):
    """A clinician's decision on a case; append-only: a wrong one is superseded, not removed."""

    __tablename__ = "decisions"
    __table_args__ = (
        one_of("outcome", Outcome),
        one_of("severity_at_decision", Severity),
        CheckConstraint("read_kind IN ('first', 'second', 'arbitration')", name="read_kind"),
        CheckConstraint("supersedes_id <> id", name="supersedes_another"),
        Index("ix_decisions_case_id", "case_id", "id"),
    )

    id: Mapped[Id]
    case_id: Mapped[UUID] = mapped_column(ForeignKey("cases.id"))
    clinician_id: Mapped[UUID] = mapped_column(ForeignKey("clinicians.id"))
    outcome: Mapped[Outcome] = mapped_column(enum_type(Outcome))
    advice: Mapped[str] = mapped_column(String(2000), default="")
    """The text that the clinic reads."""
    diagnosis: Mapped[str | None] = mapped_column(String(100))
    read_kind: Mapped[str] = mapped_column(String(16), default="first")
    supersedes_id: Mapped[UUID | None] = mapped_column(ForeignKey("decisions.id"), unique=True)
    severity_at_decision: Mapped[Severity] = mapped_column(enum_type(Severity))
    triage_version: Mapped[int]
    claim_token: Mapped[int] = mapped_column(BigInteger)
    decided_at: Mapped[CreatedAt]
    recalled_at: Mapped[datetime | None]
    """When a later score reopened the case, which happens at most once per decision."""
