"""Faults: each breaks something, and has undone it when it returns."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import psycopg
from tests.faults.installation import Installation

from dermtriage.storage.identity import MARKER

_CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'dermtriage'"

Fault = Callable[[Installation, random.Random], None]


def killed(part: str) -> Fault:
    """Return the fault that kills a part; its supervisor starts it again."""

    def fault(installation: Installation, _: random.Random) -> None:
        installation.kill(part)

    return fault


def frozen(part: str) -> Fault:
    """Return the fault that stops a part for some seconds, and lets it go on."""

    def fault(installation: Installation, rng: random.Random) -> None:
        installation.freeze(part)
        try:
            time.sleep(rng.uniform(2, 8))
        finally:
            installation.thaw(part)

    return fault


def connections_cut(installation: Installation, _: random.Random) -> None:
    """All connections to the database are cut."""
    with _server(installation) as connection:
        connection.execute(_CUT)


def connections_refused(installation: Installation, rng: random.Random) -> None:
    """The database lets nobody in for some seconds."""
    with _server(installation) as connection:
        connection.execute("ALTER DATABASE dermtriage ALLOW_CONNECTIONS false")
        connection.execute(_CUT)
        time.sleep(rng.uniform(1, 4))
        connection.execute("ALTER DATABASE dermtriage ALLOW_CONNECTIONS true")


def store_unmounted(installation: Installation, rng: random.Random) -> None:
    """The store's folder is empty for some seconds, as an unmounted file system leaves it."""
    aside = installation.store.with_name("unmounted")
    installation.store.rename(aside)
    installation.store.mkdir()
    time.sleep(rng.uniform(2, 5))
    _move_back(installation.store, aside)


def store_foreign(installation: Installation, rng: random.Random) -> None:
    """The store's folder is the one of another installation for some seconds."""
    aside = installation.store.with_name("ours")
    installation.store.rename(aside)
    (installation.store / "originals" / "00").mkdir(parents=True)
    (installation.store / MARKER).write_text(str(uuid4()))
    time.sleep(rng.uniform(2, 5))
    _move_back(installation.store, aside)


FAULTS: dict[str, Fault] = {
    **{f"{part} killed": killed(part) for part in ("api", "worker", "upkeep", "redis", "postgres")},
    **{f"{part} frozen": frozen(part) for part in ("api", "worker", "upkeep", "redis", "postgres")},
    "connections cut": connections_cut,
    "connections refused": connections_refused,
    "store unmounted": store_unmounted,
    "store foreign": store_foreign,
}


def _server(installation: Installation) -> psycopg.Connection[tuple[object, ...]]:
    """Connect to the server beside the database of the installation."""
    folder = installation.running.database_url.partition("?host=")[2]
    return psycopg.connect(host=folder, user="postgres", dbname="postgres", autocommit=True)


def _move_back(store: Path, aside: Path) -> None:
    """Put the store's own folder back, and keep what was written to the other for the checks."""
    store.rename(store.with_name(f"{aside.name}-{time.time_ns()}"))
    aside.rename(store)
