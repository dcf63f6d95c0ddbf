"""Authentication: a clinic by its API key, a clinician by a session token, both bearer tokens."""

from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from dermtriage.accounts.clinics import authenticate_clinic
from dermtriage.accounts.credentials import CLINIC_KEY_PREFIX
from dermtriage.accounts.sessions import authenticate_clinician
from dermtriage.core.errors import NotAllowed, NotAuthenticated
from dermtriage.database.engine import autocommit_session
from dermtriage_api.services import Services


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated sender of a request."""

    kind: Literal["clinic", "clinician"]
    id: UUID
    name: str
    token: str

    @property
    def is_clinic(self) -> bool:
        """Whether this is a clinic, which sees only its own cases."""
        return self.kind == "clinic"


def authenticate(services: Services, authorization: str | None) -> Principal:
    """Return the sender of a request from its Authorization header.

    The database is queried for every request, so a revoked key is refused at once. The
    connection is returned to the pool before this returns.

    Raises
    ------
    NotAuthenticated
        If the header is missing, or its token is not valid.
    Unavailable
        If the database cannot be reached.
    """
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise NotAuthenticated(
            "The request has no API key and no session token.",
            remedy="Send the header `Authorization: Bearer <API key or session token>`.",
        )
    secret_key = services.settings.secret_key.get_secret_value()
    with autocommit_session(services.databases.access.sessions) as session:
        if token.startswith(CLINIC_KEY_PREFIX):
            clinic_id, name = authenticate_clinic(session, key=token, secret_key=secret_key)
            return Principal("clinic", clinic_id, name, token)
        clinician = authenticate_clinician(session, token=token, secret_key=secret_key)
        return Principal("clinician", clinician.id, clinician.username, token)


# RequestGuard authenticates before any route is reached; these two only describe it in OpenAPI.
_clinic_key = HTTPBearer(
    scheme_name="ClinicKey",
    description="A clinic's API key, created with `dermtriage clinic add`.",
    auto_error=False,
)
_clinician_token = HTTPBearer(
    scheme_name="ClinicianToken",
    description="The session token returned by `POST /v1/sessions`.",
    auto_error=False,
)
_Credentials = HTTPAuthorizationCredentials | None


async def _principal(
    request: Request,
    _: Annotated[_Credentials, Security(_clinic_key)],
    __: Annotated[_Credentials, Security(_clinician_token)],
) -> Principal:
    principal: Principal = request.state.principal
    return principal


async def _clinic(request: Request, _: Annotated[_Credentials, Security(_clinic_key)]) -> Principal:
    principal: Principal = request.state.principal
    if not principal.is_clinic:
        raise NotAllowed(
            "Only a clinic may do this.", remedy="Send a clinic's API key.", code="clinic_only"
        )
    return principal


async def _clinician(
    request: Request, _: Annotated[_Credentials, Security(_clinician_token)]
) -> Principal:
    principal: Principal = request.state.principal
    if principal.is_clinic:
        raise NotAllowed(
            "Only a clinician may do this.",
            remedy="Log in at /v1/sessions and send the session's token.",
            code="clinician_only",
        )
    return principal


PrincipalDep = Annotated[Principal, Depends(_principal)]
"""The sender, whether a clinic or a clinician."""

ClinicDep = Annotated[Principal, Depends(_clinic)]
"""The sender, which must be a clinic."""

ClinicianDep = Annotated[Principal, Depends(_clinician)]
"""The sender, who must be a clinician."""
