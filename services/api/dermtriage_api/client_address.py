"""The address that a request came from."""

from starlette.types import Scope


def client_address(scope: Scope) -> str:
    """Return the client's IP address, or an empty string over a Unix socket.

    Behind a proxy it is the client's only if uvicorn trusts the proxy's `X-Forwarded-For`
    (`FORWARDED_ALLOW_IPS`); otherwise it is the proxy's.
    """
    client = scope.get("client")
    return client[0] if client else ""
