"""Photographs over HTTP: one POST each, over several connections that stay open."""

import http.client
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

PATH = "/score"
CONNECTIONS = 64
"""Twice the batches of 16 of two processes, so that the next batch is always complete."""

_TIMEOUT = 300.0


def send(port: int, photographs: Sequence[bytes]) -> None:
    """Send photographs, and wait for every answer."""
    remaining = iter(photographs)

    def send_some() -> None:
        connection = _connect(port)
        # Advancing one list's iterator is atomic, so the connections share it.
        for photograph in remaining:
            _post(connection, photograph)
        connection.close()

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for sender in [pool.submit(send_some) for _ in range(CONNECTIONS)]:
            sender.result()


def wait_until_ready(port: int, photograph: bytes, alive: Callable[[], bool]) -> None:
    """Wait until a first photograph is answered."""
    deadline = time.monotonic() + _TIMEOUT
    while True:
        connection = _connect(port)
        try:
            _post(connection, photograph)
        except (OSError, http.client.HTTPException, RuntimeError):
            if not alive() or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return
        finally:
            connection.close()


def _connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)


def _post(connection: http.client.HTTPConnection, photograph: bytes) -> None:
    connection.request("POST", PATH, photograph, {"Content-Type": "image/jpeg"})
    response = connection.getresponse()
    answer = response.read()
    if response.status not in {200, 202}:
        raise RuntimeError(f"{response.status}: {answer.decode(errors='replace')}")
