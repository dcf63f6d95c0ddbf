"""Sessions of clinicians: log in, log out, authenticate."""

import secrets
from datetime import timedelta

from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import select, update
from sqlalchemy.orm import Session, contains_eager

from dermtriage.accounts.credentials import (
    CLINICIAN_TOKEN,
    hash_of_nobody,
    keyed_hash,
    password_hasher,
)
from dermtriage.core.clock import utcnow
from dermtriage.core.errors import NotAuthenticated
from dermtriage.models import Clinician, ClinicianSession


def login(
    session: Session, *, username: str, password: str, secret_key: str, lifetime: float
) -> tuple[ClinicianSession, str]:
    """Check a password and open a session.

    Returns
    -------
    tuple
        The session, and the bearer token in clear, which nobody can read again.

    Raises
    ------
    NotAuthenticated
        If username and password do not belong together, or the account is disabled.
    """
    clinician = session.scalar(select(Clinician).where(Clinician.username == username))
    try:
        # An unknown username costs as much as a known one, so time does not tell who exists.
        known = clinician is not None and clinician.disabled_at is None
        stored = clinician.password_hash if clinician and known else hash_of_nobody()
        password_hasher().verify(stored, password)
    except (VerificationError, InvalidHashError):
        clinician = None
    if clinician is None or clinician.disabled_at is not None:
        raise NotAuthenticated(
            "Username and password do not belong together.",
            remedy="Check both; ask an administrator if the account was disabled.",
            code="invalid_login",
        )
    token = f"{CLINICIAN_TOKEN}{secrets.token_urlsafe(32)}"
    opened = ClinicianSession(
        clinician=clinician,
        token_hash=keyed_hash(token, secret_key),
        expires_at=utcnow() + timedelta(seconds=lifetime),
    )
    session.add(opened)
    return opened, token


def logout(session: Session, *, token: str, secret_key: str) -> None:
    """End the session of this token."""
    session.execute(
        update(ClinicianSession)
        .where(
            ClinicianSession.token_hash == keyed_hash(token, secret_key),
            ClinicianSession.ended_at.is_(None),
        )
        .values(ended_at=utcnow())
    )


def authenticate_clinician(session: Session, *, token: str, secret_key: str) -> Clinician:
    """Return the clinician whose running session this token belongs to.

    Raises
    ------
    NotAuthenticated
        If the session has ended or never was.
    """
    found = session.scalar(
        select(ClinicianSession)
        .join(ClinicianSession.clinician)
        .options(contains_eager(ClinicianSession.clinician))
        .where(
            ClinicianSession.token_hash == keyed_hash(token, secret_key),
            ClinicianSession.ended_at.is_(None),
            ClinicianSession.expires_at > utcnow(),
            Clinician.disabled_at.is_(None),
        )
    )
    if found is None:
        raise NotAuthenticated(
            "The session is not valid.", remedy="Log in again.", code="invalid_session"
        )
    return found.clinician
