"""Rescoring in bulk: runs, their chunks with leases, and what could not be scored."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    SmallInteger,
    String,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from dermtriage.core.enums import RunState
from dermtriage.database.base import Base
from dermtriage.models._columns import MAX_ACTOR, MAX_REASON, CreatedAt, Id, one_of, word


class RescoreRun(Base):
    """One nightly (or asked-for) rescoring of many images with one release."""

    __tablename__ = "rescore_runs"
    __table_args__ = (
        one_of("state", RunState),
        CheckConstraint("images >= 0 AND recalls >= 0", name="counts"),
        CheckConstraint(
            "(ended_at IS NOT NULL) = (state IN ('cancelled', 'finished', 'failed'))", name="ended"
        ),
        CheckConstraint("report IS NULL OR ended_at IS NOT NULL", name="report_after_end"),
        Index("ix_rescore_runs_created_at", "created_at"),
    )

    id: Mapped[Id]
    release_id: Mapped[int] = mapped_column(ForeignKey("releases.id"))
    state: Mapped[RunState] = mapped_column(word(RunState), default=RunState.PLANNED)
    scope: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """Which images; see ``dermtriage.rescoring.Scope``."""
    night: Mapped[date | None] = mapped_column(unique=True)
    """The local date of the morning of the night whose run this is; one a night, whoever plans."""
    actor: Mapped[str] = mapped_column(String(MAX_ACTOR))
    images: Mapped[int] = mapped_column(BigInteger)
    """In scope when the run was planned."""
    recalls: Mapped[int] = mapped_column(default=0)
    recalls_confirmed: Mapped[bool | None]
    """Whether someone has let the run go on in spite of its many recalls; empty: none was asked."""
    reason: Mapped[str | None] = mapped_column(String(MAX_REASON))
    """Why it stands still or has failed."""
    created_at: Mapped[CreatedAt]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    report: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """Empty until it is written, some time after the end."""


class RescoreChunk(Base):
    """Bounds of some images of a run, lent to one worker at a time."""

    __tablename__ = "rescore_chunks"
    __table_args__ = (
        CheckConstraint("(lease_token IS NULL) = (lease_expires_at IS NULL)", name="whole_lease"),
        CheckConstraint("first_image_id <= last_image_id", name="bounds"),
        Index(
            "ix_rescore_chunks_open", "run_id", "number", postgresql_where=text("done_at IS NULL")
        ),
        Index("ix_rescore_chunks_lease_token", "lease_token"),
    )

    run_id: Mapped[UUID] = mapped_column(
        ForeignKey("rescore_runs.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    first_image_id: Mapped[UUID]
    last_image_id: Mapped[UUID]
    images: Mapped[int]
    """In scope between the bounds when the run was planned."""
    scored: Mapped[int] = mapped_column(server_default="0")
    """Images whose case was triaged, or whose assessment was kept for comparison."""
    upgrades: Mapped[int] = mapped_column(server_default="0")
    recalls: Mapped[int] = mapped_column(server_default="0")
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    """How often it was taken, but for outages."""
    not_before: Mapped[datetime | None]
    lease_token: Mapped[int | None] = mapped_column(BigInteger)
    lease_expires_at: Mapped[datetime | None]
    worker_id: Mapped[UUID | None]
    done_at: Mapped[datetime | None]


class RescoreFailure(Base):
    """An image that a run could not score; its earlier severity stands."""

    __tablename__ = "rescore_failures"

    run_id: Mapped[UUID] = mapped_column(
        ForeignKey("rescore_runs.id", ondelete="CASCADE"), primary_key=True
    )
    image_id: Mapped[UUID] = mapped_column(ForeignKey("images.id"), primary_key=True)
    reason: Mapped[str] = mapped_column(String(500))
    at: Mapped[CreatedAt]
