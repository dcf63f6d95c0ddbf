"""Clinicians' sessions: log in, log out, authenticate."""

import secrets
from datetime import timedelta

from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import select, update
from sqlalchemy.orm import Session, contains_eager

from dermtriage.accounts.credentials import (
    CLINICIAN_TOKEN_PREFIX,
    dummy_hash,
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
        The session, and its bearer token in clear text, which is not stored.

    Raises
    ------
    NotAuthenticated
        If the username is unknown, the password is wrong, or the account is disabled.
    """
    clinician = session.scalar(select(Clinician).where(Clinician.username == username))
    try:
        # Verifying takes as long for an unknown username, so timing does not reveal who exists.
        enabled = clinician is not None and clinician.disabled_at is None
        stored = clinician.password_hash if clinician and enabled else dummy_hash()
        password_hasher().verify(stored, password)
    except (VerificationError, InvalidHashError):
        clinician = None
    if clinician is None or clinician.disabled_at is not None:
        raise NotAuthenticated(
            "Username or password is wrong.",
            remedy="Check both; ask an administrator if the account was disabled.",
            code="invalid_login",
        )
    token = f"{CLINICIAN_TOKEN_PREFIX}{secrets.token_urlsafe(32)}"
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
    """Return the clinician whose session this token belongs to.

    Raises
    ------
    NotAuthenticated
        If the token is unknown, or its session has ended or expired.
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
