"""What clinicians do with cases: claims, which lend them, and decisions, which stay."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Sequence, String
from sqlalchemy.orm import Mapped, mapped_column

from dermtriage.core.enums import Outcome, Severity
from dermtriage.database.base import Base
from dermtriage.models._columns import CreatedAt, Id, one_of, word

claim_tokens = Sequence("claim_tokens", metadata=Base.metadata)


class ReviewClaim(Base):
    """A clinician's lease on a case; a row that has expired holds nobody."""

    __tablename__ = "review_claims"

    case_id: Mapped[UUID] = mapped_column(ForeignKey("cases.id"), primary_key=True)
    clinician_id: Mapped[UUID] = mapped_column(ForeignKey("clinicians.id"), index=True)
    token: Mapped[int] = mapped_column(BigInteger)
    claimed_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]


class Decision(Base):
    """What a clinician decided; append-only, an error is superseded and stays readable."""

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
    outcome: Mapped[Outcome] = mapped_column(word(Outcome))
    advice: Mapped[str] = mapped_column(String(2000), default="")
    """What the clinic reads."""
    diagnosis: Mapped[str | None] = mapped_column(String(100))
    read_kind: Mapped[str] = mapped_column(String(16), default="first")
    supersedes_id: Mapped[UUID | None] = mapped_column(ForeignKey("decisions.id"), unique=True)
    severity_at_decision: Mapped[Severity] = mapped_column(word(Severity))
    triage_version: Mapped[int]
    claim_token: Mapped[int] = mapped_column(BigInteger)
    decided_at: Mapped[CreatedAt]
    recalled_at: Mapped[datetime | None]
    """When a later score reopened the case; it does so once a decision."""
