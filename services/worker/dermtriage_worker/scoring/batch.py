"""One batch, prepared and scored: what fails alone, fails alone; and what an outage is."""

from collections.abc import Callable, Sequence
from contextlib import closing
from math import isfinite
from typing import TypeVar

import torch
from sqlalchemy.orm import Session

from dermtriage.core.errors import ConfigurationError, DermtriageError, ReleaseInvalid, Unavailable
from dermtriage.database.engine import outage_as_unavailable
from dermtriage.scoring.leases import Lease
from dermtriage_worker.ensemble.device import DeviceLost, DeviceOutOfMemory
from dermtriage_worker.ensemble.inference import Ensemble, Prediction
from dermtriage_worker.scoring.claimed import Ready
from dermtriage_worker.scoring.preparation import Prepare
from dermtriage_worker.scoring.runtime import Runtime

T = TypeVar("T")

Fail = Callable[[Runtime, Lease, Exception], None]
"""What becomes of one image that failed by itself."""

OUTAGES = (Unavailable, DeviceOutOfMemory, ReleaseInvalid, ConfigurationError, MemoryError)
"""What says nothing about the photographs that it kept from being scored."""


class NoScore(DermtriageError):
    """An image drove the ensemble out of the range of its numbers."""

    code = "no_score"


def prepared(
    runtime: Runtime,
    prepare: Prepare,
    leases: Sequence[Lease],
    fail: Fail,
) -> list[Ready]:
    """Prepare photographs; hand those that cannot be prepared to `fail`, and only those.

    Raises
    ------
    Unavailable, MemoryError
        If something else than the photographs keeps them from it.
    """
    ready = []
    with closing(runtime.preparation.each(prepare, leases)) as coming:
        for lease, photograph in coming:
            try:
                ready.append(Ready(lease, photograph()))
            except (Unavailable, MemoryError):
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, its neighbours go on
                fail(runtime, lease, error)
    return ready


def predict(
    runtime: Runtime,
    ensemble: Ensemble,
    ready: Sequence[Ready],
    fail: Fail,
    *,
    urgent: bool = False,
) -> list[tuple[Ready, Prediction]]:
    """Score photographs; hand those that cannot be scored to `fail`, and only those.

    Parameters
    ----------
    urgent
        Whether they are uploads, which wait for no batch of a run.

    Raises
    ------
    DeviceLost
        If the device failed for good.
    DeviceOutOfMemory, MemoryError
        If there is no memory for a batch.
    """
    if not ready:
        return []
    try:
        with runtime.turn(ensemble, urgent=urgent):
            predictions = ensemble.predict(
                [item.photograph.square for item in ready], [item.lease.inputs for item in ready]
            )
        _require_numbers(predictions)
    except (DeviceOutOfMemory, MemoryError):
        raise
    except torch.AcceleratorError as error:
        raise DeviceLost("The device failed.") from error
    except Exception as error:  # noqa: BLE001 - whatever it is, its neighbours go on
        if len(ready) == 1:
            _require_device(runtime, ensemble, ready[0].photograph.square, error)
            fail(runtime, ready[0].lease, error)
            return []
        # One of them broke the batch: halve until it stands alone.
        middle = len(ready) // 2
        return predict(runtime, ensemble, ready[:middle], fail, urgent=urgent) + predict(
            runtime, ensemble, ready[middle:], fail, urgent=urgent
        )
    return list(zip(ready, predictions, strict=True))


def _require_device(
    runtime: Runtime, ensemble: Ensemble, like: torch.Tensor, error: Exception
) -> None:
    """Tell an image that fails from a device that does: a black square must pass."""
    try:
        with runtime.turn(ensemble):
            ensemble.predict([torch.zeros_like(like)])
    except Exception:  # noqa: BLE001 - whatever it is, it is not the image
        raise DeviceLost("The device failed.") from error


def _require_numbers(predictions: Sequence[Prediction]) -> None:
    # What is no number lies above no threshold: it would pass for low.
    for said in predictions:
        if not (isfinite(said.p_severe) and isfinite(said.disagreement)):
            raise NoScore("The ensemble came to no number.")


def reason_of(error: Exception) -> str:
    """Return what may be kept of an error.

    The text of a foreign exception may quote what it read; ours never does.
    """
    return str(error) if isinstance(error, DermtriageError) else type(error).__name__


def persist(runtime: Runtime, write: Callable[[Session], T]) -> T:
    """Write in a transaction of its own; wait out an outage of the database.

    What has been computed is worth keeping: the leases tell afterwards what still counts.

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
            if runtime.stopping.wait(runtime.settings.outage_delay):
                raise
