"""A distant object store against a folder: whether the ensemble waits for the store.

The store speaks S3 over HTTPS, and all data to and from it is delayed. It runs on the same machine
and takes some of the CPU time that the system with a folder has to itself.

``python -m bench.distance [PHOTOGRAPHS]`` prints the figures as JSON.
"""

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch
from urllib.parse import urlsplit

from bench import load, rescoring, whole_system
from bench.object_store import BUCKET, object_store
from bench.photographs import draw
from bench.releases import add_twin
from dermtriage.accounts.clinics import add_clinic
from dermtriage.core.settings import get_settings
from dermtriage.database.engine import make_engine, make_sessions
from dermtriage_cli.embedded.stack import Stack

PHOTOGRAPHS = 400
DELAY = 0.01
"""Seconds in each direction."""
_PIECE = 2**16


@dataclass(frozen=True)
class Pace:
    """Images per second."""

    uploads: float
    rescoring: float


@dataclass(frozen=True)
class Measured:
    """Both stores; `delay_seconds` is the round trip."""

    delay_seconds: float
    folder: Pace
    object_store: Pace


def measure(
    folder: Path,
    releases: Path,
    name: str,
    photographs: Sequence[Path],
    on_step: Callable[[str], None] = lambda _: None,
) -> Measured:
    """Send photographs and rescore them, with each store.

    Parameters
    ----------
    folder
        For the systems' data.
    releases
        The folder that holds the release; receives a twin.
    photographs
        The last one only makes the workers load the twin.
    """
    twin = add_twin(releases, name, "far")
    served = {"DERMTRIAGE_RELEASES_DIR": str(releases), "DERMTRIAGE_DEFAULT_RELEASE": name}

    def pace(store: str, environment: Mapping[str, str]) -> Pace:
        on_step(f"{len(photographs) - 1} photographs, {store}")
        with patch.dict(os.environ, served | environment):
            get_settings.cache_clear()
            return _pace(folder / store, twin, photographs)

    try:
        near = pace("folder", {})
        (folder / "server").mkdir(parents=True)
        with object_store(folder / "server") as server, _delayed(server) as delayed:
            far = pace("object-store", {"DERMTRIAGE_STORE_URL": f"s3://{BUCKET}/far"} | delayed)
    finally:
        get_settings.cache_clear()
    return Measured(2 * DELAY, near, far)


def _pace(folder: Path, twin: str, photographs: Sequence[Path]) -> Pace:
    *many, last = photographs
    with Stack(folder) as stack:
        engine = make_engine(stack.settings)
        sessions = make_sessions(engine)
        secret = stack.settings.secret_key.get_secret_value()
        with sessions.begin() as session:
            _, key = add_clinic(session, name="Bench", secret_key=secret)
        requests = [load.build(path, key) for path in many]
        settle = 2 * stack.settings.heartbeat_seconds
        uploads, _, _ = whole_system.upload_at_once(stack.url, sessions, requests, settle)
        rescoring.wait_until_idle(sessions, stack.settings)
        first = load.build(last, key)
        rescored, _ = rescoring.rate(stack.url, sessions, stack.settings, twin, first)
        engine.dispose()
    return Pace(uploads, rescored)


@contextmanager
def _delayed(environment: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """Delay all traffic of a server; yield the environment by which clients reach it so."""
    server = urlsplit(environment["AWS_ENDPOINT_URL"])
    loop = asyncio.new_event_loop()

    async def listen() -> int:
        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            inner_reader, inner_writer = await asyncio.open_connection(server.hostname, server.port)
            await asyncio.gather(_delay(reader, inner_writer), _delay(inner_reader, writer))

        listening = await asyncio.start_server(forward, server.hostname, 0)
        return int(listening.sockets[0].getsockname()[1])

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    port = asyncio.run_coroutine_threadsafe(listen(), loop).result()
    try:
        yield {**environment, "AWS_ENDPOINT_URL": f"https://{server.hostname}:{port}"}
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _delay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Forward each piece of data after the delay, while further pieces are read."""
    loop = asyncio.get_running_loop()
    while piece := await reader.read(_PIECE):
        loop.call_later(DELAY, writer.write, piece)
    loop.call_later(DELAY, writer.close)


def main() -> None:
    photographs = int(sys.argv[1]) if sys.argv[1:] else PHOTOGRAPHS
    settings = get_settings()
    with TemporaryDirectory(prefix="distance-") as temporary:
        folder = Path(temporary)
        releases = folder / "releases"
        releases.mkdir()
        name = settings.default_release
        (releases / name).symlink_to(settings.releases_dir / name)
        drawn = draw(folder / "drawn", photographs + 1)
        measured = measure(folder, releases, name, drawn, lambda s: print(s, file=sys.stderr))
    print(json.dumps(asdict(measured)))


if __name__ == "__main__":
    main()
