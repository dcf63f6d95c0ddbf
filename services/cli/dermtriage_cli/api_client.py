"""The HTTP API, as commands call it for clinics and clinicians."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx

from dermtriage.core.errors import (
    ConfigurationError,
    DermtriageError,
    NotAuthenticated,
    Unavailable,
)

_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
PAGE = 200


class Refused(DermtriageError):
    """The server refused the request."""

    code = "refused"


def open_client(server: str, token: str = "") -> httpx.Client:
    """Return an HTTP client for the server at this URL.

    Parameters
    ----------
    server
        URL of the server.
    token
        A clinic's API key or a clinician's session token; empty for none.

    Raises
    ------
    ConfigurationError
        If the URL or the token is malformed.
    """
    parts = urlsplit(server)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(
            f"{server!r} is not the URL of a server.",
            remedy="Give a URL like https://triage.example.",
        )
    if not (token.isascii() and token.isprintable()):
        raise ConfigurationError(
            "The key contains characters that no key has.", remedy="Copy the key again."
        )
    return httpx.Client(
        base_url=server,
        headers={"Authorization": f"Bearer {token.strip()}"} if token else {},
        # Reading waits until the server has stored the photographs. Writing has a timeout per
        # chunk, so that a slow line is not a timeout.
        timeout=httpx.Timeout(10, read=120, write=60, pool=None),
        # A proxy from the environment cannot reach this machine's own addresses.
        trust_env=parts.hostname not in _LOCAL,
    )


def call(client: httpx.Client, method: str, path: str, **options: Any) -> Any:
    """Send one request and return the JSON of the response.

    Raises
    ------
    DermtriageError
        If the server cannot be reached, or refuses.
    """
    try:
        response = client.request(method, path, **options)
    except httpx.TransportError as error:
        raise unreachable(client, error) from error
    if response.is_success:
        return response.json()
    raise refusal(response)


def unreachable(client: httpx.Client, error: httpx.TransportError) -> Unavailable:
    """Return the error for a server that did not answer."""
    return Unavailable(
        f"The server at {client.base_url} cannot be reached ({type(error).__name__}).",
        remedy="Check the address and the connection.",
    )


def refusal(response: httpx.Response) -> DermtriageError:
    """Return the error for a problem document, or for the status of any other response."""
    try:
        problem = response.json()
        detail, remedy = str(problem["detail"]), str(problem.get("remedy") or "")
        code = str(problem["code"])
    except (ValueError, KeyError, TypeError):
        return Refused(
            f"The server answered {response.status_code} {response.reason_phrase}.",
            remedy="Check that this is the address of a dermtriage server.",
        )
    if response.status_code == httpx.codes.UNAUTHORIZED:
        return NotAuthenticated(detail, remedy=remedy, code=code)
    return Refused(detail, remedy=remedy, code=code)


def login(client: httpx.Client, username: str, password: str) -> None:
    """Log a clinician in; the client carries the session from then on.

    Raises
    ------
    NotAuthenticated
        If username or password is wrong.
    """
    body = {"username": username, "password": password}
    session = call(client, "POST", "/v1/sessions", json=body)
    client.headers["Authorization"] = f"Bearer {session['token']}"


def worklist(client: httpx.Client, **filters: Any) -> Iterator[dict[str, Any]]:
    """Yield the lines of the worklist, the most urgent first; pages are read as needed.

    Parameters
    ----------
    filters
        Query parameters of ``GET /v1/worklist``.
    """
    cursor = None
    while True:
        query = {"limit": PAGE, "cursor": cursor, **filters}
        params = {name: value for name, value in query.items() if value is not None}
        page = call(client, "GET", "/v1/worklist", params=params)
        yield from page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return
