"""Clinicians' sessions: log in, log out, authenticate."""

import logging
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta

from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session, contains_eager

from dermtriage.accounts import audit
from dermtriage.accounts.credentials import (
    CLINICIAN_TOKEN_PREFIX,
    dummy_hash,
    keyed_hash,
    password_hasher,
)
from dermtriage.core.clock import utcnow
from dermtriage.core.errors import NotAuthenticated
from dermtriage.models import Clinician, ClinicianSession

logger = logging.getLogger(__name__)


Transaction = Callable[[], AbstractContextManager[Session]]
"""Opens a session that is committed when its block ends."""


def log_in(
    transaction: Transaction,
    *,
    username: str,
    password: str,
    address: str,
    secret_key: str,
    lifetime: float,
) -> tuple[ClinicianSession, str]:
    """Check a password and open a session; the audit log records both success and failure.

    No database connection is held while the password is verified, which is slow on purpose.

    Parameters
    ----------
    transaction
        Opens the short transactions before and after the verification.
    address
        The address that the login came from, for the audit log.
    lifetime
        Seconds for which the session is valid.

    Returns
    -------
    tuple
        The session, and its bearer token in clear text, which is not stored.

    Raises
    ------
    NotAuthenticated
        If the username is unknown, the password is wrong, or the account is disabled.
    """
    with transaction() as session:
        clinician = _enabled_clinician(session, Clinician.username == username)
    # Verifying takes as long for an unknown username, so timing does not reveal who exists.
    correct = _verify(clinician.password_hash if clinician else dummy_hash(), password)
    if clinician is not None and correct:
        with transaction() as session:
            # Nobody has disabled the account meanwhile.
            clinician = _enabled_clinician(session, Clinician.id == clinician.id)
            if clinician is not None:
                return _open_session(session, clinician, address, secret_key, lifetime)
    with transaction() as session:
        audit.record(
            session,
            actor_kind="clinician",
            # Not the username: people type passwords into that field too.
            actor_id=clinician.id if clinician else None,
            action="session.refused",
            address=address,
        )
    logger.warning("login refused", extra={"known": clinician is not None, "address": address})
    raise NotAuthenticated(
        "Username or password is wrong.",
        remedy="Check both; ask an administrator if the account was disabled.",
        code="invalid_login",
    )


def _enabled_clinician(session: Session, condition: ColumnElement[bool]) -> Clinician | None:
    return session.scalar(select(Clinician).where(condition, Clinician.disabled_at.is_(None)))


def _verify(password_hash: str, password: str) -> bool:
    try:
        return password_hasher().verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def _open_session(
    session: Session, clinician: Clinician, address: str, secret_key: str, lifetime: float
) -> tuple[ClinicianSession, str]:
    token = f"{CLINICIAN_TOKEN_PREFIX}{secrets.token_urlsafe(32)}"
    opened = ClinicianSession(
        clinician=clinician,
        token_hash=keyed_hash(token, secret_key),
        expires_at=utcnow() + timedelta(seconds=lifetime),
    )
    session.add(opened)
    audit.record(
        session,
        actor_kind="clinician",
        actor_id=clinician.id,
        action="session.opened",
        address=address,
    )
    return opened, token


def log_out(session: Session, *, token: str, secret_key: str) -> None:
    """End the session of this token, and record that in the audit log."""
    clinician_id = session.scalar(
        update(ClinicianSession)
        .where(
            ClinicianSession.token_hash == keyed_hash(token, secret_key),
            ClinicianSession.ended_at.is_(None),
        )
        .values(ended_at=utcnow())
        .returning(ClinicianSession.clinician_id)
    )
    if clinician_id is not None:
        audit.record(
            session, actor_kind="clinician", actor_id=clinician_id, action="session.closed"
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
