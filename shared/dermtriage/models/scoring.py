"""Releases and policies, pending images with their leases, assessments, and workers."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    Sequence,
    SmallInteger,
    String,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, REAL
from sqlalchemy.orm import Mapped, mapped_column

from dermtriage.database.base import Base
from dermtriage.models._columns import MAX_ACTOR, MAX_REASON, CreatedAt, Id

lease_tokens = Sequence("lease_tokens", metadata=Base.metadata)
"""Fencing tokens: a later lease always has the greater number."""


class Release(Base):
    """One version of the ensemble that is registered in this database."""

    __tablename__ = "releases"
    __table_args__ = (
        CheckConstraint("mode IN ('idle', 'shadow', 'active')", name="mode"),
        Index(
            "uq_releases_one_active", "mode", unique=True, postgresql_where=text("mode = 'active'")
        ),
        Index(
            "uq_releases_one_shadow", "mode", unique=True, postgresql_where=text("mode = 'shadow'")
        ),
    )

    id: Mapped[int] = mapped_column(SmallInteger, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    manifest: Mapped[dict[str, Any]] = mapped_column(JSONB)
    manifest_sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    mode: Mapped[str] = mapped_column(String(8), default="idle")
    created_at: Mapped[CreatedAt]
    activated_at: Mapped[datetime | None]


class PolicyVersion(Base):
    """A version of thresholds, lanes and due times; triage applies the active one."""

    __tablename__ = "policies"
    __table_args__ = (
        Index("uq_policies_one_active", "active", unique=True, postgresql_where=text("active")),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
    reason: Mapped[str] = mapped_column(String(MAX_REASON))
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[CreatedAt]


class ReleaseActivation(Base):
    """When a release was activated, by whom, and with which policy; append-only."""

    __tablename__ = "release_activations"
    __table_args__ = (
        CheckConstraint("override_reason <> ''", name="override_reason"),
        CheckConstraint("previous_release_id <> release_id", name="previous_is_another"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    release_id: Mapped[int] = mapped_column(ForeignKey("releases.id"))
    previous_release_id: Mapped[int | None] = mapped_column(ForeignKey("releases.id"))
    """Empty for the first release of the database."""
    policy_id: Mapped[int] = mapped_column(ForeignKey("policies.id"), unique=True)
    """The version of the policy that was activated with it."""
    actor: Mapped[str] = mapped_column(String(MAX_ACTOR))
    override_reason: Mapped[str | None] = mapped_column(String(MAX_REASON))
    """Why a release was activated whose measured sensitivity is too low; else empty."""
    sensitivity_low: Mapped[float | None] = mapped_column(REAL)
    """Lower bound of its sensitivity, from its manifest; empty if it was not measured."""
    created_at: Mapped[CreatedAt]


class PendingImage(Base):
    """An image that waits for scoring: one row of the queue that leases are taken from.

    The row is narrow and is deleted once the image is scored or has failed, so that taking leases
    stays fast, however many photographs are archived.
    """

    __tablename__ = "pending_images"
    __table_args__ = (
        CheckConstraint("(lease_token IS NULL) = (lease_expires_at IS NULL)", name="whole_lease"),
        Index("ix_pending_images_order", "priority_rank", "due_at", "image_id"),
        Index("ix_pending_images_worker_id", "worker_id"),
        # Nearly empty: the images that are leased, and those that killed their worker or were
        # beside the one that did.
        Index(
            "ix_pending_images_suspects",
            "priority_rank",
            "due_at",
            "image_id",
            postgresql_where=text("suspect OR lease_token IS NOT NULL"),
        ),
        # Every row is updated at each lease and soon deleted, so vacuum must not wait until a fifth
        # of the rows are dead (the default).
        {
            "postgresql_with": {
                "fillfactor": 70,
                "autovacuum_vacuum_scale_factor": 0.01,
                "autovacuum_vacuum_threshold": 500,
            }
        },
    )

    image_id: Mapped[UUID] = mapped_column(ForeignKey("images.id"), primary_key=True)
    case_id: Mapped[UUID] = mapped_column(ForeignKey("cases.id"), index=True)
    priority_rank: Mapped[int] = mapped_column(SmallInteger)
    """0 for ``stat`` to 3 for ``routine``: until it is scored, only the priority is known."""
    due_at: Mapped[datetime]
    queued_at: Mapped[CreatedAt]
    attempts: Mapped[int] = mapped_column(SmallInteger, default=0)
    """How often it failed by itself, or was tried alone."""
    suspect: Mapped[bool] = mapped_column(server_default=false())
    """Whether it may have killed a worker, so that it is tried alone in its process."""
    not_before: Mapped[datetime | None]
    lease_token: Mapped[int | None] = mapped_column(BigInteger)
    lease_expires_at: Mapped[datetime | None]
    worker_id: Mapped[UUID | None]
    last_error: Mapped[str | None] = mapped_column(String(500))


class Assessment(Base):
    """What one release predicted for one image; append-only."""

    __tablename__ = "assessments"
    __table_args__ = (
        CheckConstraint("p_severe BETWEEN 0 AND 1", name="p_severe"),
        CheckConstraint("disagreement BETWEEN 0 AND 1", name="disagreement"),
        CheckConstraint("cardinality(probabilities) = 7", name="probabilities"),
        Index("ix_assessments_image_id", "image_id"),
        Index("ix_assessments_created_at", "created_at", postgresql_using="brin"),
    )

    release_id: Mapped[int] = mapped_column(ForeignKey("releases.id"), primary_key=True)
    image_id: Mapped[UUID] = mapped_column(ForeignKey("images.id"), primary_key=True)
    p_severe: Mapped[float] = mapped_column(REAL)
    probabilities: Mapped[list[float]] = mapped_column(ARRAY(REAL))
    """In the order of ``dermtriage.core.enums.CLASSES``."""
    disagreement: Mapped[float] = mapped_column(REAL)
    out_of_scope: Mapped[float | None] = mapped_column(REAL)
    members: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """Every member's raw output."""
    quality: Mapped[dict[str, Any]] = mapped_column(JSONB)
    inputs: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """The metadata fields that the ensemble got."""
    device: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[CreatedAt]


class PendingHeatMap(Base):
    """A severe image that awaits its heat map; the row is deleted once the map is stored."""

    __tablename__ = "pending_heat_maps"
    __table_args__ = (Index("ix_pending_heat_maps_order", "attempts", "queued_at"),)

    image_id: Mapped[UUID] = mapped_column(ForeignKey("images.id"), primary_key=True)
    release_id: Mapped[int] = mapped_column(ForeignKey("releases.id"))
    """The release that found it severe."""
    queued_at: Mapped[CreatedAt]
    attempts: Mapped[int] = mapped_column(SmallInteger, default=0)
    not_before: Mapped[datetime | None]
    """No worker draws it before: another one is drawing it, or it failed."""


class Worker(Base):
    """A scoring process and its heartbeat."""

    __tablename__ = "workers"
    __table_args__ = (CheckConstraint("slots > 0", name="slots"),)

    id: Mapped[Id]
    hostname: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int]
    slots: Mapped[int] = mapped_column(SmallInteger)
    device: Mapped[str] = mapped_column(String(100))
    release: Mapped[str] = mapped_column(String(100))
    started_at: Mapped[CreatedAt]
    heartbeat_at: Mapped[datetime]
    busy: Mapped[int] = mapped_column(SmallInteger, default=0)
    batches: Mapped[int] = mapped_column(default=0)
    completed: Mapped[int] = mapped_column(BigInteger, default=0)
