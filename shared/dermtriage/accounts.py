"""Clinics with their API keys, clinicians with their logins.

Keys and tokens carry 256 random bits, so a keyed hash of them suffices and costs a request
nothing; passwords are chosen by people and go through argon2.
"""

import hashlib
import hmac
import secrets
from datetime import timedelta
from functools import cache
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session, contains_eager, selectinload

from dermtriage.db import utcnow
from dermtriage.errors import Conflict, NotAuthenticated, NotFound, RequestRejected
from dermtriage.models import ApiKey, Clinic, Clinician, ClinicianSession
from dermtriage.states import Role

CLINIC_KEY = "dtc_"
CLINICIAN_TOKEN = "dts_"  # noqa: S105 - a prefix that tells the two apart, no secret
MIN_PASSWORD = 12


def _hash(secret: str, secret_key: str) -> bytes:
    return hmac.new(secret_key.encode(), secret.encode(), hashlib.sha256).digest()


@cache
def _passwords() -> PasswordHasher:
    return PasswordHasher()


@cache
def _hash_of_nobody() -> str:
    return _passwords().hash(secrets.token_hex())


def _checked_name(name: str, field: str, longest: int) -> str:
    name = name.strip()
    if not 0 < len(name) <= longest or not name.isprintable():
        raise RequestRejected(
            f"This name is empty, longer than {longest} characters, or holds control characters.",
            field=field,
            remedy="Choose another.",
        )
    return name


def add_clinic(session: Session, *, name: str, secret_key: str) -> tuple[Clinic, str]:
    """Add a key to the clinic `name`, which is made if it is new.

    Returns
    -------
    tuple
        The clinic, and the key in clear, which nobody can read again.
    """
    name = _checked_name(name, "name", 200)
    clinic = session.scalar(select(Clinic).where(Clinic.name == name)) or Clinic(name=name)
    session.add(clinic)
    prefix = secrets.token_hex(4)
    key = f"{CLINIC_KEY}{prefix}_{secrets.token_urlsafe(32)}"
    session.add(ApiKey(clinic=clinic, prefix=prefix, key_hash=_hash(key, secret_key)))
    session.flush()  # so that a name taken at the same moment shows here
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
        If there is none.
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
        .returning(ApiKey.id)
    )
    return len(revoked.all())


_CLINIC = (
    select(Clinic.id, Clinic.name)
    .join(ApiKey)
    .where(ApiKey.key_hash == bindparam("key_hash"), ApiKey.revoked_at.is_(None))
)


def authenticate_clinic(session: Session, *, key: str, secret_key: str) -> tuple[UUID, str]:
    """Return id and name of the clinic whose valid key this is.

    Raises
    ------
    NotAuthenticated
        If no valid key is like it.
    """
    clinic = session.execute(_CLINIC, {"key_hash": _hash(key, secret_key)}).one_or_none()
    if clinic is None:
        raise NotAuthenticated(
            "The API key is not valid.",
            remedy="Send a key that an operator made with `dermtriage clinic add`.",
            code="invalid_api_key",
        )
    return clinic.id, clinic.name


def add_clinician(
    session: Session,
    *,
    username: str,
    display_name: str,
    password: str,
    role: Role = Role.CLINICIAN,
) -> Clinician:
    """Add somebody who may read and decide.

    Raises
    ------
    RequestRejected
        If the password is too short, or a name empty or too long.
    Conflict
        If the username is taken.
    """
    username = _checked_name(username, "username", 100)
    display_name = _checked_name(display_name, "display_name", 200)
    if len(password) < MIN_PASSWORD:
        raise RequestRejected(
            f"The password is shorter than {MIN_PASSWORD} characters.",
            field="password",
            remedy="Choose a longer one, such as four random words.",
        )
    if session.scalar(select(Clinician.id).where(Clinician.username == username)):
        raise Conflict(
            f"The username {username!r} is taken.", remedy="Choose another.", code="username_taken"
        )
    clinician = Clinician(
        username=username,
        display_name=display_name,
        role=role,
        password_hash=_passwords().hash(password),
    )
    session.add(clinician)
    return clinician


def list_clinicians(session: Session) -> list[Clinician]:
    """Return all clinicians by username."""
    return list(session.scalars(select(Clinician).order_by(Clinician.username)))


def disable_clinician(session: Session, *, username: str) -> None:
    """Keep a clinician from logging in, and end what sessions there are."""
    clinician = session.scalar(select(Clinician).where(Clinician.username == username))
    if clinician is None:
        raise NotFound(
            f"There is no clinician {username!r}.", remedy="See `dermtriage clinician list`."
        )
    now = utcnow()
    clinician.disabled_at = clinician.disabled_at or now
    session.execute(
        update(ClinicianSession)
        .where(ClinicianSession.clinician_id == clinician.id, ClinicianSession.ended_at.is_(None))
        .values(ended_at=now)
    )


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
        stored = clinician.password_hash if clinician and known else _hash_of_nobody()
        _passwords().verify(stored, password)
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
        token_hash=_hash(token, secret_key),
        expires_at=utcnow() + timedelta(seconds=lifetime),
    )
    session.add(opened)
    return opened, token


def logout(session: Session, *, token: str, secret_key: str) -> None:
    """End the session of this token."""
    session.execute(
        update(ClinicianSession)
        .where(
            ClinicianSession.token_hash == _hash(token, secret_key),
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
            ClinicianSession.token_hash == _hash(token, secret_key),
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
