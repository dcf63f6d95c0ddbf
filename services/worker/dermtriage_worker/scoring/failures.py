"""Failures of scoring: which are outages, what is stored of an error, and retries of writes."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.orm import Session

from dermtriage.core.errors import (
    ConfigurationError,
    DermtriageError,
    ObjectInaccessible,
    ReleaseInvalid,
    Unavailable,
)
from dermtriage.database.engine import outage_as_unavailable
from dermtriage_worker.ensemble.device import DeviceOutOfMemory
from dermtriage_worker.scoring.runtime import Runtime

T = TypeVar("T")

OUTAGES = (Unavailable, DeviceOutOfMemory, ReleaseInvalid, ConfigurationError, MemoryError)
"""Errors for which the photographs are not to blame."""

ORDINARY_PHOTOGRAPH = 64 * 2**20
"""Bytes of memory that suffice to decode a photograph of 12 megapixels."""


class NoScore(DermtriageError):
    """A figure of the ensemble for an image is not a number, or not in its range."""

    code = "no_score"


def is_outage_of_loading(error: Exception) -> bool:
    """Whether a photograph could not be loaded for a reason that others would meet as well."""
    if isinstance(error, MemoryError):
        return not memory_is_left()
    return isinstance(error, Unavailable) and not isinstance(error, ObjectInaccessible)


def memory_is_left() -> bool:
    """Whether this process could decode an ordinary photograph now."""
    try:
        bytearray(ORDINARY_PHOTOGRAPH)
    except MemoryError:
        return False
    return True


def failure_reason(error: Exception) -> str:
    """Return what may be stored of an error.

    The message of a third party's exception may quote what it read; ours never does.
    """
    return str(error) if isinstance(error, DermtriageError) else type(error).__name__


def write_with_retries(runtime: Runtime, write: Callable[[Session], T]) -> T:
    """Write in a transaction of its own, and retry for as long as the database is out of reach.

    What has been computed is worth keeping; the lease tokens decide afterwards what still counts.

    Raises
    ------
    Unavailable
        If the process is told to stop before the database is back.
    """
    while True:
        try:
            with outage_as_unavailable(), runtime.sessions.begin() as session:
                return write(session)
        except Unavailable:
            runtime.running.restart_clock()
            if runtime.stopping.wait(runtime.settings.outage_delay):
                raise
