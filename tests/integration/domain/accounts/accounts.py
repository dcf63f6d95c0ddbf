"""Accounts that the tests of this folder share."""

from contextlib import nullcontext

from sqlalchemy import text
from sqlalchemy.orm import Session

from dermtriage.accounts import clinicians as clinician_accounts
from dermtriage.accounts import clinics as clinic_accounts
from dermtriage.accounts.sessions import authenticate_clinician
from dermtriage.accounts.sessions import log_in as open_session
from dermtriage.core.errors import NotAuthenticated
from dermtriage.models import Clinic, Clinician, ClinicianSession

SECRET = "a secret of the tests, long enough"
OTHER_SECRET = "another secret of the tests, as long"
ADDRESS = "192.0.2.7"
PASSWORD = "four random words here"


def add_clinic(session: Session, name: str = "Aldea Norte") -> tuple[Clinic, str]:
    return clinic_accounts.add_clinic(session, name=name, secret_key=SECRET)


def add_clinician(session: Session, username: str = "m.okafor") -> Clinician:
    return clinician_accounts.add_clinician(
        session, username=username, display_name="Dr M. Okafor", password=PASSWORD
    )


def log_in(
    session: Session, username: str = "m.okafor", password: str = PASSWORD, lifetime: float = 60
) -> tuple[ClinicianSession, str]:
    return open_session(
        lambda: nullcontext(session),
        username=username,
        password=password,
        address=ADDRESS,
        secret_key=SECRET,
        lifetime=lifetime,
    )


def authenticated(session: Session, token: str, secret: str = SECRET) -> Clinician:
    return authenticate_clinician(session, token=token, secret_key=secret)


def is_refused(session: Session, key: str, secret: str = SECRET) -> bool:
    try:
        clinic_accounts.authenticate_clinic(session, key=key, secret_key=secret)
    except NotAuthenticated as error:
        return error.code == "invalid_api_key"
    return False


def stored_text(session: Session, table: str) -> str:
    """Return everything that a table holds, as text."""
    session.flush()
    rows = session.execute(text(f"SELECT t::text, encode(t::text::bytea, 'hex') FROM {table} t"))
    return str(rows.all())
