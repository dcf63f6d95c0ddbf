"""Checks of what the system needs, each with a remedy."""

import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dermtriage.core.errors import ConfigurationError, DermtriageError, StoreMismatch
from dermtriage.core.settings import Settings
from dermtriage.database.engine import make_engine, make_sessions, outage_as_unavailable
from dermtriage.database.migrations import is_usable
from dermtriage.messaging.redis_client import describe_redis
from dermtriage.operations.metrics import last_entry
from dermtriage.scoring import workers
from dermtriage.storage.identity import stored_identity
from dermtriage_cli.database.stores import open_store
from dermtriage_cli.embedded.data_dir import resolve_settings
from dermtriage_cli.releases.folders import release_folder
from dermtriage_worker.ensemble.device import choose_compute
from dermtriage_worker.ensemble.inference import Ensemble

OLDEST, NEWEST = (3, 11), (3, 13)


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def check_all(data_dir: Path, settings: Settings) -> Iterator[Check]:
    """Run all checks; those that need no server come first.

    Parameters
    ----------
    data_dir
        Folder of an embedded stack; used if no database is set.
    settings
        The settings of the environment.
    """
    yield _check("Python", _python)
    yield _check("device", lambda: _device(settings))
    yield _check("release", lambda: _release(settings))
    try:
        settings = resolve_settings(data_dir)
    except ConfigurationError as error:
        yield Check("servers", ok=False, detail=error.detail, remedy=error.remedy)
        return
    database = _check("database", lambda: _database(settings))
    yield database
    yield _check("Redis", lambda: _redis(settings))
    if not database.ok:
        # It says which store is its own.
        yield Check("image store", ok=False, detail="Not checked, for want of the database.")
        return
    yield _check("image store", lambda: _store(settings))
    yield _check("orphan sweep", lambda: _orphan_sweep(settings))
    yield _check("worker", lambda: _worker(settings))


def _check(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, ok=True, detail=check())
    except DermtriageError as error:
        return Check(name, ok=False, detail=error.detail, remedy=error.remedy)


def _python() -> str:
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        raise ConfigurationError(
            f"Python {platform.python_version()} is not supported.",
            remedy="Use Python 3.11, 3.12 or 3.13.",
        )
    return platform.python_version()


def _device(settings: Settings) -> str:
    compute = choose_compute(settings.device)
    return f"{compute.device} with {str(compute.dtype).removeprefix('torch.')}"


def _release(settings: Settings) -> str:
    manifest = Ensemble.load(release_folder(settings, None), "cpu").manifest
    return f"{manifest.name}, {len(manifest.members)} members, every file verified"


def _database(settings: Settings) -> str:
    engine = make_engine(settings)
    try:
        with outage_as_unavailable():
            if not is_usable(engine):
                raise ConfigurationError(
                    "The database has an older schema than this version needs.",
                    remedy="Run `dermtriage db upgrade`.",
                )
    finally:
        engine.dispose()
    return "reachable, migrated"


def _redis(settings: Settings) -> str:
    return f"{describe_redis(settings)}, reachable"


def _store(settings: Settings) -> str:
    with open_store(settings) as (sessions, store):
        with sessions() as session:
            expected = stored_identity(session)
        try:
            store.check()
        except StoreMismatch as error:
            raise StoreMismatch(
                f"{error.detail} The store holds {store.identity() or 'no identity'}, the database"
                f" expects {expected or 'none'}.",
                remedy=error.remedy,
            ) from error
    return f"writable, paired with the database by {expected}"


def _orphan_sweep(settings: Settings) -> str:
    with open_store(settings) as (sessions, _), sessions() as session:
        entry = last_entry(session, "orphans.swept")
    if entry is None:
        return "has not run yet"
    last = entry.detail
    if last["refused"] != "0":
        raise ConfigurationError(
            f"The last one found {last['orphans']} originals that belong to no case, among"
            f" {last['originals']}, and moved none: they are too many.",
            remedy="Find out whether this database is complete. If it is, run"
            " `dermtriage store sweep --without-limit`: it moves them into quarantine.",
        )
    return f"{last['moved']} originals moved last, {last['quarantined']} in quarantine"


def _worker(settings: Settings) -> str:
    engine = make_engine(settings)
    try:
        with outage_as_unavailable(), make_sessions(engine)() as session:
            slots = workers.live_slots(session, slow_after=settings.slow_after)
    finally:
        engine.dispose()
    if not slots:
        raise ConfigurationError(
            f"No scoring worker has sent a heartbeat for {settings.slow_after:g} seconds.",
            remedy="Start one with `python -m dermtriage_worker.scoring`, or see its log.",
        )
    return f"{slots} scoring threads alive"
