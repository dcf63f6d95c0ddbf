"""The API as clinics and clinicians reach it from this command."""

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
    """The server understood and said no."""

    code = "refused"


def open_client(server: str, token: str = "") -> httpx.Client:
    """Return a client of the server at this URL, with a clinic's key or a clinician's token.

    Raises
    ------
    ConfigurationError
        If the URL or the token cannot be one.
    """
    parts = urlsplit(server)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(
            f"{server!r} is no URL of a server.", remedy="Give one such as https://triage.example."
        )
    if not (token.isascii() and token.isprintable()):
        raise ConfigurationError(
            "The key holds characters that no key has.", remedy="Copy the key again."
        )
    return httpx.Client(
        base_url=server,
        headers={"Authorization": f"Bearer {token.strip()}"} if token else {},
        # Reading waits for the server to store the photographs; writing counts each chunk, so
        # that a slow line is no timeout.
        timeout=httpx.Timeout(10, read=120, write=60, pool=None),
        # A proxy of the environment does not know this machine's own addresses.
        trust_env=parts.hostname not in _LOCAL,
    )


def ask(client: httpx.Client, method: str, path: str, **options: Any) -> Any:
    """Send one request and return the JSON of its answer.

    Raises
    ------
    DermtriageError
        If the server cannot be reached or refuses, with what it says.
    """
    try:
        response = client.request(method, path, **options)
    except httpx.TransportError as error:
        raise unreachable(client, error) from error
    if response.is_success:
        return response.json()
    raise refusal(response)


def unreachable(client: httpx.Client, error: httpx.TransportError) -> Unavailable:
    """Say that the server did not answer."""
    return Unavailable(
        f"The server at {client.base_url} cannot be reached ({type(error).__name__}).",
        remedy="Check the address and the line.",
    )


def refusal(response: httpx.Response) -> DermtriageError:
    """Turn a problem document into an error; anything else shows its status."""
    try:
        problem = response.json()
        detail, remedy = str(problem["detail"]), str(problem.get("remedy") or "")
        code = str(problem["code"])
    except (ValueError, KeyError, TypeError):
        return Refused(
            f"The server answered {response.status_code} {response.reason_phrase}.",
            remedy="Check that the address is that of a dermtriage server.",
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
    session = ask(client, "POST", "/v1/sessions", json=body)
    client.headers["Authorization"] = f"Bearer {session['token']}"


def worklist(client: httpx.Client, **where: Any) -> Iterator[dict[str, Any]]:
    """Yield the lines of the worklist, the most urgent first, a page at a time."""
    cursor = None
    while True:
        chosen = {"limit": PAGE, "cursor": cursor, **where}
        params = {name: value for name, value in chosen.items() if value is not None}
        page = ask(client, "GET", "/v1/worklist", params=params)
        yield from page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return
