"""Login and logout of clinicians."""

import threading

from fastapi import APIRouter

from dermtriage.accounts import audit, sessions
from dermtriage.core.errors import Unavailable
from dermtriage_api.api_docs.responses import errors
from dermtriage_api.auth import ClinicianDep
from dermtriage_api.schemas.sessions import Login, SessionView
from dermtriage_api.services import ServicesDep

router = APIRouter(prefix="/v1/sessions", tags=["sessions"])

MAX_CONCURRENT_LOGINS = 4
"""Password hashing uses much memory and time on purpose; this bounds what unauthenticated
requests can use up."""

_login_slots = threading.BoundedSemaphore(MAX_CONCURRENT_LOGINS)


@router.post("", status_code=201, summary="Log in", responses=errors(400, 401, 413, 422, 503))
def open_session(login: Login, services: ServicesDep) -> SessionView:
    """Log in with username and password, and get a session token."""
    if not _login_slots.acquire(blocking=False):
        raise Unavailable("Too many logins are in progress.", code="busy")
    try:
        with services.transaction() as session:
            opened, token = sessions.login(
                session,
                username=login.username,
                password=login.password,
                secret_key=services.settings.secret_key.get_secret_value(),
                lifetime=services.settings.session_lifetime,
            )
            audit.record(
                session,
                actor_kind="clinician",
                actor_id=opened.clinician.id,
                action="session.opened",
            )
    finally:
        _login_slots.release()
    return SessionView(
        token=token,
        expires_at=opened.expires_at,
        username=opened.clinician.username,
        display_name=opened.clinician.display_name,
        role=opened.clinician.role,
    )


@router.delete("/current", status_code=204, summary="Log out", responses=errors(401, 403, 503))
def close_session(clinician: ClinicianDep, services: ServicesDep) -> None:
    """End the session whose token the request carries."""
    secret_key = services.settings.secret_key.get_secret_value()
    with services.transaction() as session:
        sessions.logout(session, token=clinician.token, secret_key=secret_key)
