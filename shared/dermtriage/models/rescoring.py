"""Rescoring in bulk: runs, their chunks with leases, and images that could not be scored."""

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
    false,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from dermtriage.core.enums import RunState
from dermtriage.database.base import Base
from dermtriage.models._columns import MAX_ACTOR, MAX_REASON, CreatedAt, Id, enum_type, one_of


class RescoreRun(Base):
    """One rescoring of many images with one release, nightly or requested by an operator."""

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
    state: Mapped[RunState] = mapped_column(enum_type(RunState), default=RunState.PLANNED)
    scope: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """The filter that selects the images; see ``dermtriage.rescoring.scope.Scope``."""
    night: Mapped[date | None] = mapped_column(unique=True)
    """For a nightly run the local date of that morning; unique, so that each night has one run."""
    actor: Mapped[str] = mapped_column(String(MAX_ACTOR))
    images: Mapped[int] = mapped_column(BigInteger)
    """The number of images in scope when the run was planned."""
    recalls: Mapped[int] = mapped_column(default=0)
    recalls_confirmed: Mapped[bool | None]
    """Whether an operator let the run continue despite its many recalls; empty if never asked."""
    reason: Mapped[str | None] = mapped_column(String(MAX_REASON))
    """Why it is paused or has failed."""
    created_at: Mapped[CreatedAt]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    report: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """Empty until it is written, which is some time after the run ended."""


class RescoreChunk(Base):
    """The first and last image id of a part of a run, leased to one worker at a time."""

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
    """The number of images in scope between the two when the run was planned."""
    scored: Mapped[int] = mapped_column(server_default="0")
    """Images whose case was triaged, or whose assessment was stored for comparison only."""
    upgrades: Mapped[int] = mapped_column(server_default="0")
    recalls: Mapped[int] = mapped_column(server_default="0")
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    """How often it failed; neither an outage nor the death of its worker counts."""
    suspect: Mapped[bool] = mapped_column(server_default=false())
    """Whether a worker died while it held it, so that its images are tried alone."""
    not_before: Mapped[datetime | None]
    lease_token: Mapped[int | None] = mapped_column(BigInteger)
    lease_expires_at: Mapped[datetime | None]
    worker_id: Mapped[UUID | None]
    done_at: Mapped[datetime | None]


class RescoreFailure(Base):
    """An image that a run could not score; it keeps its severity."""

    __tablename__ = "rescore_failures"

    run_id: Mapped[UUID] = mapped_column(
        ForeignKey("rescore_runs.id", ondelete="CASCADE"), primary_key=True
    )
    image_id: Mapped[UUID] = mapped_column(ForeignKey("images.id"), primary_key=True)
    reason: Mapped[str] = mapped_column(String(500))
    at: Mapped[CreatedAt]
