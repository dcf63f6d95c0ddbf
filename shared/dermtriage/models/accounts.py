"""Clinics with their API keys, and clinicians with their sessions."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from dermtriage.core.enums import Role
from dermtriage.database.base import Base
from dermtriage.models._columns import CreatedAt, Id, enum_type, one_of


class Clinic(Base):
    """A remote site that sends cases."""

    __tablename__ = "clinics"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(200), unique=True)
    created_at: Mapped[CreatedAt]
    keys: Mapped[list["ApiKey"]] = relationship(back_populates="clinic")


class ApiKey(Base):
    """An API key of a clinic: its prefix, to recognise it by, and a keyed hash of the whole key."""

    __tablename__ = "api_keys"

    id: Mapped[Id]
    clinic_id: Mapped[UUID] = mapped_column(ForeignKey("clinics.id"), index=True)
    prefix: Mapped[str] = mapped_column(String(16))
    key_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    created_at: Mapped[CreatedAt]
    revoked_at: Mapped[datetime | None]
    clinic: Mapped[Clinic] = relationship(back_populates="keys")


class Clinician(Base):
    """A person who reads the worklist and decides cases."""

    __tablename__ = "clinicians"
    __table_args__ = (one_of("role", Role),)

    id: Mapped[Id]
    username: Mapped[str] = mapped_column(String(100), unique=True)
    display_name: Mapped[str] = mapped_column(String(200))
    role: Mapped[Role] = mapped_column(enum_type(Role))
    password_hash: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[CreatedAt]
    disabled_at: Mapped[datetime | None]


class ClinicianSession(Base):
    """A login of a clinician; only a keyed hash of its bearer token is stored."""

    __tablename__ = "clinician_sessions"

    id: Mapped[Id]
    clinician_id: Mapped[UUID] = mapped_column(ForeignKey("clinicians.id"), index=True)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    clinician: Mapped[Clinician] = relationship()
