"""Who asks: a clinic by its API key or a clinician by a session, both as a bearer token."""

import time
from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from dermtriage.accounts.clinics import authenticate_clinic
from dermtriage.accounts.credentials import CLINIC_KEY
from dermtriage.accounts.sessions import authenticate_clinician
from dermtriage.core.errors import NotAllowed, NotAuthenticated
from dermtriage.database.engine import autocommit_session
from dermtriage_api.services import Services


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who was authenticated."""

    kind: Literal["clinic", "clinician"]
    id: UUID
    name: str
    token: str

    @property
    def is_clinic(self) -> bool:
        """Whether this is a clinic, which sees its own cases alone."""
        return self.kind == "clinic"


def authenticate(services: Services, authorization: str | None) -> Principal:
    """Return who sent this Authorization header; the database is asked once and left again.

    Raises
    ------
    NotAuthenticated
        If there is no header, or nobody known by it.
    Unavailable
        If the database is out of reach.
    """
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise NotAuthenticated(
            "The request carries no key.",
            remedy="Send the header `Authorization: Bearer <API key or session token>`.",
        )
    secret_key = services.settings.secret_key.get_secret_value()
    with autocommit_session(services.sessions) as session:
        if token.startswith(CLINIC_KEY):
            clinic_id, name = authenticate_clinic(session, key=token, secret_key=secret_key)
            return Principal("clinic", clinic_id, name, token)
        clinician = authenticate_clinician(session, token=token, secret_key=secret_key)
        return Principal("clinician", clinician.id, clinician.username, token)


class Admitted:
    """Clinics whose keys were valid a moment ago; each upload of a rush would ask the same again.

    For uploads alone: for that moment a key that was revoked may still bring a case, but it reads
    nothing. For one thread.
    """

    SECONDS = 2.0
    MOST = 1024

    def __init__(self) -> None:
        self._until: dict[str, tuple[float, Principal]] = {}

    def find(self, authorization: str | None) -> Principal | None:
        """Return the clinic that sent this Authorization header a moment ago."""
        until, principal = self._until.get(authorization or "", (0.0, None))
        return principal if time.monotonic() < until else None

    def add(self, authorization: str, principal: Principal) -> None:
        """Remember a clinic that was authenticated just now."""
        if len(self._until) >= self.MOST:
            self._until.clear()
        self._until[authorization] = (time.monotonic() + self.SECONDS, principal)


# The gate has authenticated before any route is reached; these only describe it in OpenAPI.
_clinic_key = HTTPBearer(
    scheme_name="ClinicKey",
    description="A clinic's API key, made by `dermtriage clinic add`.",
    auto_error=False,
)
_clinician_token = HTTPBearer(
    scheme_name="ClinicianToken",
    description="The token that `POST /v1/sessions` gave.",
    auto_error=False,
)
_Described = HTTPAuthorizationCredentials | None


async def _clinic(request: Request, _: Annotated[_Described, Security(_clinic_key)]) -> Principal:
    principal: Principal = request.state.principal
    if not principal.is_clinic:
        raise NotAllowed(
            "Only a clinic may do this.", remedy="Send a clinic's API key.", code="clinic_only"
        )
    return principal


async def _clinician(
    request: Request, _: Annotated[_Described, Security(_clinician_token)]
) -> Principal:
    principal: Principal = request.state.principal
    if principal.is_clinic:
        raise NotAllowed(
            "Only a clinician may do this.",
            remedy="Log in at /v1/sessions and send the session's token.",
            code="clinician_only",
        )
    return principal


async def _anybody(
    request: Request,
    _: Annotated[_Described, Security(_clinic_key)],
    __: Annotated[_Described, Security(_clinician_token)],
) -> Principal:
    principal: Principal = request.state.principal
    return principal


ClinicDep = Annotated[Principal, Depends(_clinic)]
ClinicianDep = Annotated[Principal, Depends(_clinician)]
PrincipalDep = Annotated[Principal, Depends(_anybody)]
