"""Cases, their images, and the intake requests that made them."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    UniqueConstraint,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from dermtriage.core.enums import CaseState, ImageType, Priority, Scoring, Severity
from dermtriage.database.base import Base
from dermtriage.models._columns import CreatedAt, Id, enum_type, one_of


class Case(Base):
    """One lesion of one patient, one referral.

    The clinic's fields, down to `replaces_case_id`, never change after intake. The fields from
    `state` on are set by triage, and only together with a row in ``triage_events``.
    """

    __tablename__ = "cases"
    __table_args__ = (
        one_of("state", CaseState),
        one_of("severity", Severity),
        one_of("latest_severity", Severity),
        one_of("priority", Priority),
        CheckConstraint("lane BETWEEN 0 AND 3", name="lane"),
        # A severe case, and one with priority stat or asap, is always in lane 0.
        CheckConstraint(
            "lane = 0 OR (severity <> 'severe' AND priority NOT IN ('stat', 'asap'))",
            name="lane_0_kept",
        ),
        CheckConstraint(
            "lane <= 1 OR severity IN ('indeterminate', 'low')", name="unscored_is_high"
        ),
        CheckConstraint(
            "lane <= 2 OR (severity = 'low' AND priority = 'routine')", name="lane_2_kept"
        ),
        CheckConstraint("triage_version >= 0", name="triage_version"),
        CheckConstraint(
            "age_approx BETWEEN 0 AND 85 AND mod(age_approx, 5) = 0", name="age_approx"
        ),
        CheckConstraint("replaces_case_id <> id", name="replaces_another"),
        # The worklist reads this index from its start.
        Index("ix_cases_worklist", "lane", "due_at", "id", postgresql_where=text("state = 'open'")),
        Index(
            "ix_cases_awaiting_retake",
            "lane",
            "due_at",
            "id",
            postgresql_where=text("state = 'awaiting_retake'"),
        ),
        Index(
            "ix_cases_ages_at",
            "ages_at",
            postgresql_where=text("state = 'open' AND ages_at IS NOT NULL"),
        ),
        Index("ix_cases_changes", "clinic_id", "changed_at", "id"),
    )

    id: Mapped[Id]
    clinic_id: Mapped[UUID] = mapped_column(ForeignKey("clinics.id"))
    received_at: Mapped[datetime]
    priority: Mapped[Priority] = mapped_column(enum_type(Priority))
    clinic_reference: Mapped[str | None] = mapped_column(String(100))
    patient_id: Mapped[str | None] = mapped_column(String(100))
    lesion_id: Mapped[str | None] = mapped_column(String(100))
    age_approx: Mapped[int | None] = mapped_column(SmallInteger)
    sex: Mapped[str | None] = mapped_column(String(16))
    anatom_site: Mapped[str | None] = mapped_column(String(100))
    fitzpatrick_skin_type: Mapped[str | None] = mapped_column(String(3))
    clin_size_long_diam_mm: Mapped[float | None]
    personal_hx_mm: Mapped[bool | None]
    family_hx_mm: Mapped[bool | None]
    onset_date: Mapped[date | None]
    history: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    """The rest of the referral: changes, symptoms, free text; triage never reads it."""
    replaces_case_id: Mapped[UUID | None] = mapped_column(ForeignKey("cases.id"), unique=True)

    state: Mapped[CaseState] = mapped_column(enum_type(CaseState))
    severity: Mapped[Severity] = mapped_column(enum_type(Severity))
    latest_severity: Mapped[Severity] = mapped_column(enum_type(Severity))
    lane: Mapped[int] = mapped_column(SmallInteger)
    due_at: Mapped[datetime]
    ages_at: Mapped[datetime | None]
    """When ageing raises the case by a lane next; empty if it does not."""
    triage_version: Mapped[int] = mapped_column(default=0)
    """Counts the rises of severity: a decision that was based on an earlier version is refused."""
    recalled_at: Mapped[datetime | None]
    changed_at: Mapped[datetime]
    """When something last changed that the clinic can see; the clinic's feed is ordered by it."""

    images: Mapped[list["Image"]] = relationship(back_populates="case", order_by="Image.position")


# Literals, not parameters: the planner then sees that the partial indexes above match.
IS_OPEN = Case.state == literal_column("'open'")
AWAITS_RETAKE = Case.state == literal_column("'awaiting_retake'")


class Image(Base):
    """One photograph of a case."""

    __tablename__ = "images"
    __table_args__ = (
        UniqueConstraint("case_id", "position"),
        one_of("image_type", ImageType),
        one_of("scoring", Scoring),
        one_of("severity", Severity),
        CheckConstraint("(image_type = 'overview') = (scoring = 'not_scored')", name="overview"),
        CheckConstraint("(severity IS NOT NULL) = (scoring = 'scored')", name="severity_if_scored"),
        CheckConstraint("octet_length(sha256) = 32", name="sha256"),
        CheckConstraint("byte_size > 0 AND width > 0 AND height > 0", name="size"),
    )

    id: Mapped[Id]
    case_id: Mapped[UUID] = mapped_column(ForeignKey("cases.id"))
    position: Mapped[int] = mapped_column(SmallInteger)
    image_type: Mapped[ImageType] = mapped_column(enum_type(ImageType))
    media_type: Mapped[str] = mapped_column(String(32))
    sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    byte_size: Mapped[int]
    width: Mapped[int]
    height: Mapped[int]
    created_at: Mapped[CreatedAt]
    scoring: Mapped[Scoring] = mapped_column(enum_type(Scoring))
    severity: Mapped[Severity | None] = mapped_column(enum_type(Severity))
    """By the assessment that triage used last."""
    release_id: Mapped[int | None] = mapped_column(ForeignKey("releases.id"))
    """The release of that assessment; triage uses none of other releases, such as a shadow."""
    failure: Mapped[str | None] = mapped_column(String(500))

    case: Mapped[Case] = relationship(back_populates="images")


class IntakeRequest(Base):
    """The key of an intake request and the case it made, so that a repeat makes no second one."""

    __tablename__ = "intake_requests"
    __table_args__ = (CheckConstraint("octet_length(fingerprint) = 32", name="fingerprint"),)

    clinic_id: Mapped[UUID] = mapped_column(ForeignKey("clinics.id"), primary_key=True)
    idempotency_key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary(32))
    case_id: Mapped[UUID] = mapped_column(ForeignKey("cases.id"))
    created_at: Mapped[CreatedAt]
