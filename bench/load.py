"""A load generator that uses as little CPU as possible.

A clinic's sender runs on the clinic's machine; here it runs on the machine that is measured. So the
requests are built before the clock starts, and each connection only writes bytes and reads an
answer.
"""

import hashlib
import http.client
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

BOUNDARY = "the-boundary-of-the-bench"

Request = tuple[bytes, dict[str, str]]


def build(path: Path, key: str) -> Request:
    """Return body and headers of the upload of one photograph."""
    data = path.read_bytes()
    metadata = json.dumps({"images": [{"sha256": hashlib.sha256(data).hexdigest()}]})
    body = (
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=metadata\r\n\r\n{metadata}\r\n"
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=images; filename=x\r\n\r\n"
    ).encode()
    headers = {
        "Authorization": f"Bearer {key}",
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Idempotency-Key": str(uuid4()),
    }
    return body + data + f"\r\n--{BOUNDARY}--\r\n".encode(), headers


def post(connection: http.client.HTTPConnection, request: Request) -> UUID:
    """Send one request and return the id of its image."""
    connection.request("POST", "/v1/cases", *request)
    response = connection.getresponse()
    answer = response.read()
    if response.status != 202:
        raise RuntimeError(f"{response.status}: {answer.decode()}")
    return UUID(json.loads(answer)["images"][0]["image_id"])


def connect(url: str) -> http.client.HTTPConnection:
    """Open a connection for several requests."""
    return http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)


def send_all(url: str, requests: Sequence[Request], senders: int) -> None:
    """Send all requests over as many connections as there are senders."""
    remaining: Iterator[Request] = iter(requests)

    def send() -> None:
        connection = connect(url)
        # Advancing one list's iterator is atomic, so the senders share it.
        for request in remaining:
            post(connection, request)
        connection.close()

    with ThreadPoolExecutor(senders) as pool:
        for sender in [pool.submit(send) for _ in range(senders)]:
            sender.result()
