"""Clinicians: the accounts that may read the worklist and decide cases."""

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from dermtriage.accounts import audit
from dermtriage.accounts.credentials import password_hasher
from dermtriage.core.clock import utcnow
from dermtriage.core.enums import Role
from dermtriage.core.errors import Conflict, NotFound, RequestRejected
from dermtriage.core.validation import checked_name
from dermtriage.models import Clinician, ClinicianSession

MIN_PASSWORD = 12
"""Characters."""


def add_clinician(
    session: Session,
    *,
    username: str,
    display_name: str,
    password: str,
    role: Role = Role.CLINICIAN,
) -> Clinician:
    """Add a clinician.

    Raises
    ------
    RequestRejected
        If the password is too short, or a name is empty, too long or not printable.
    Conflict
        If the username is taken.
    """
    username = checked_name(username, "username", 100)
    display_name = checked_name(display_name, "display_name", 200)
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
        password_hash=password_hasher().hash(password),
    )
    session.add(clinician)
    session.flush()  # so that it has its id
    _record(session, "clinician.added", clinician)
    return clinician


def list_clinicians(session: Session) -> list[Clinician]:
    """Return all clinicians by username."""
    return list(session.scalars(select(Clinician).order_by(Clinician.username)))


def disable_clinician(session: Session, *, username: str) -> None:
    """Disable a clinician's account and end all its sessions.

    Raises
    ------
    NotFound
        If there is no such clinician.
    """
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
    _record(session, "clinician.disabled", clinician)


def _record(session: Session, action: str, clinician: Clinician) -> None:
    audit.record(
        session,
        actor_kind="operator",
        actor_id=None,
        action=action,
        clinician_id=clinician.id,
        role=clinician.role,
    )
