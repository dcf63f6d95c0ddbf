"""Login and logout of clinicians."""

from functools import partial

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request

from dermtriage.accounts import sessions
from dermtriage_api.api_docs.responses import errors
from dermtriage_api.auth import ClinicianDep
from dermtriage_api.client_address import client_address
from dermtriage_api.schemas.sessions import Login, SessionView
from dermtriage_api.services import ServicesDep

router = APIRouter(prefix="/v1/sessions", tags=["sessions"])


@router.post("", status_code=201, summary="Log in", responses=errors(400, 401, 413, 422, 429, 503))
async def open_session(request: Request, login: Login, services: ServicesDep) -> SessionView:
    """Log in with username and password, and get a session token."""
    address = client_address(request.scope)
    log_in = partial(
        sessions.log_in,
        services.databases.access.transaction,
        username=login.username,
        password=login.password,
        address=address,
        secret_key=services.settings.secret_key.get_secret_value(),
        lifetime=services.settings.session_lifetime,
    )
    async with services.login_limits.attempt(login.username, address):
        opened, token = await run_sync(log_in, limiter=services.threads.logins)
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
        sessions.log_out(session, token=clinician.token, secret_key=secret_key)
