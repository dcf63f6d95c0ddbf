"""A clinic and a clinician for a demonstration."""

import secrets
from dataclasses import dataclass

from sqlalchemy.orm import Session

from dermtriage.accounts.clinicians import add_clinician
from dermtriage.accounts.clinics import add_clinic
from dermtriage.core.settings import Settings
from dermtriage.database.engine import make_engine, make_sessions, outage_as_unavailable


@dataclass(frozen=True, slots=True)
class Accounts:
    """The API key of a clinic, and the login of a clinician."""

    clinic_key: str
    username: str
    password: str


def add_accounts(
    session: Session, settings: Settings, *, clinic: str, username: str, password: str
) -> Accounts:
    """Add a clinic and a clinician.

    Parameters
    ----------
    clinic
        Name of the clinic.
    username, password
        Login of the clinician.

    Raises
    ------
    Conflict
        If the username is taken.
    """
    _, key = add_clinic(session, name=clinic, secret_key=settings.secret_key.get_secret_value())
    add_clinician(session, username=username, display_name=username, password=password)
    return Accounts(key, username, password)


def create_demo_accounts(settings: Settings) -> Accounts:
    """Add accounts with a random suffix, so that a database can hold those of many runs."""
    suffix = secrets.token_hex(3)
    engine = make_engine(settings)
    try:
        with outage_as_unavailable(), make_sessions(engine).begin() as session:
            return add_accounts(
                session,
                settings,
                clinic=f"Demo clinic-{suffix}",
                username=f"demo-{suffix}",
                password=secrets.token_urlsafe(12),
            )
    finally:
        engine.dispose()
