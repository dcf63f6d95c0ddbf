"""Clinics and their API keys."""

import secrets
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session, selectinload

from dermtriage.accounts import audit
from dermtriage.accounts.credentials import CLINIC_KEY_PREFIX, keyed_hash
from dermtriage.core.clock import utcnow
from dermtriage.core.errors import NotAuthenticated, NotFound
from dermtriage.core.validation import checked_name
from dermtriage.models import ApiKey, Clinic


def add_clinic(session: Session, *, name: str, secret_key: str) -> tuple[Clinic, str]:
    """Add a key to the clinic `name`, and the clinic itself if it is new.

    Returns
    -------
    tuple
        The clinic, and the key in clear text, which is not stored.
    """
    name = checked_name(name, "name", 200)
    clinic = session.scalar(select(Clinic).where(Clinic.name == name)) or Clinic(name=name)
    session.add(clinic)
    prefix = secrets.token_hex(4)
    key = f"{CLINIC_KEY_PREFIX}{prefix}_{secrets.token_urlsafe(32)}"
    session.add(ApiKey(clinic=clinic, prefix=prefix, key_hash=keyed_hash(key, secret_key)))
    session.flush()  # so that a name added at the same moment raises here
    audit.record(
        session,
        actor_kind="operator",
        actor_id=None,
        action="clinic.key_added",
        clinic_id=clinic.id,
        prefix=prefix,
    )
    return clinic, key


def list_clinics(session: Session) -> list[Clinic]:
    """Return all clinics by name, with their keys loaded."""
    statement = select(Clinic).options(selectinload(Clinic.keys)).order_by(Clinic.name)
    return list(session.scalars(statement))


def find_clinic(session: Session, *, name: str) -> Clinic:
    """Return the clinic of this name.

    Raises
    ------
    NotFound
        If there is no such clinic.
    """
    clinic = session.scalar(select(Clinic).where(Clinic.name == name))
    if clinic is None:
        raise NotFound(
            f"There is no clinic named {name!r}.", remedy="See `dermtriage clinic list`."
        )
    return clinic


def revoke_clinic(session: Session, *, name: str) -> int:
    """Revoke every key of a clinic and return how many were valid until now."""
    clinic = find_clinic(session, name=name)
    revoked = session.execute(
        update(ApiKey)
        .where(ApiKey.clinic_id == clinic.id, ApiKey.revoked_at.is_(None))
        .values(revoked_at=utcnow())
        .returning(ApiKey.prefix)
    ).scalars()
    prefixes = sorted(revoked)
    for prefix in prefixes:
        audit.record(
            session,
            actor_kind="operator",
            actor_id=None,
            action="clinic.key_revoked",
            clinic_id=clinic.id,
            prefix=prefix,
        )
    return len(prefixes)


def authenticate_clinic(session: Session, *, key: str, secret_key: str) -> tuple[UUID, str]:
    """Return id and name of the clinic that a key belongs to.

    Raises
    ------
    NotAuthenticated
        If the key is unknown or revoked.
    """
    clinic = session.execute(
        select(Clinic.id, Clinic.name)
        .join(ApiKey)
        .where(ApiKey.key_hash == keyed_hash(key, secret_key), ApiKey.revoked_at.is_(None))
    ).one_or_none()
    if clinic is None:
        raise NotAuthenticated(
            "The API key is not valid.",
            remedy="Send a key that an operator made with `dermtriage clinic add`.",
            code="invalid_api_key",
        )
    return clinic.id, clinic.name
