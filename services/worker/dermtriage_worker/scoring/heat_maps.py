"""Heat maps of severe photographs, made once no image is pending."""

import logging

import torch

from dermtriage.database.engine import outage_as_unavailable
from dermtriage.models import Release
from dermtriage.scoring import heat_maps as queue
from dermtriage.scoring.heat_maps import HeatMapLease
from dermtriage_worker.ensemble.device import DeviceLost
from dermtriage_worker.ensemble.image.photograph import decode_rendition
from dermtriage_worker.scoring.failures import OUTAGES, write_with_retries
from dermtriage_worker.scoring.overlay import overlay
from dermtriage_worker.scoring.runtime import Runtime

logger = logging.getLogger(__name__)


def make_next_heat_map(runtime: Runtime, tried: int) -> bool:
    """Make and store the next map; return False if none waits or an outage keeps it from it.

    A map that was tried before may have killed its worker: it is made while the process does
    nothing else. Only an attempt in company may be another image's fault, so that a map has one
    attempt more than an image.

    Parameters
    ----------
    tried
        Of the isolation lock, as it was before the thread last looked for pending images.

    Raises
    ------
    DeviceLost
        If the device failed for good.
    """
    with outage_as_unavailable(), runtime.sessions() as session:
        waiting = queue.waiting_heat_maps(session, 1)
    if not waiting:
        return False
    if waiting[0].attempts == 0:
        with runtime.isolation.beside_others():
            return _lease_and_make(runtime, tried_before=False)
    with runtime.isolation.alone(tried) as granted:
        return not granted or _lease_and_make(runtime, tried_before=True)


def _lease_and_make(runtime: Runtime, *, tried_before: bool) -> bool:
    if runtime.stopping.is_set():
        return False
    with outage_as_unavailable(), runtime.sessions.begin() as session:
        lease = queue.lease_heat_map(
            session, tried_before=tried_before, lease_seconds=runtime.settings.lease_seconds
        )
        release = session.get_one(Release, lease.release_id) if lease else None
    if lease is None or release is None:
        return False
    delay = runtime.settings.outage_delay
    try:
        with runtime.running.run():
            _make(runtime, lease, release)
    except torch.AcceleratorError as error:
        raise DeviceLost("The device failed while it drew a heat map.") from error
    except OUTAGES as error:
        logger.warning(
            "heat map postponed",
            extra={"image_id": lease.image_id, "reason": type(error).__name__},
        )
        write_with_retries(
            runtime,
            lambda s: queue.release_heat_map(s, lease, delay=delay, costs_attempt=False),
        )
        return False
    except Exception as error:  # noqa: BLE001 - a map must never stop the scoring
        logger.warning(
            "heat map failed",
            extra={
                "image_id": lease.image_id,
                "attempts": lease.attempts,
                "reason": type(error).__name__,
            },
        )
        if lease.attempts <= runtime.settings.max_attempts:
            write_with_retries(
                runtime,
                lambda s: queue.release_heat_map(s, lease, delay=delay, costs_attempt=True),
            )
            return True
    write_with_retries(runtime, lambda s: queue.remove_heat_map(s, lease))
    return True


def _make(runtime: Runtime, lease: HeatMapLease, release: Release) -> None:
    # It imports a plotting library, which many processes never need.
    from dermtriage_worker.ensemble.attribution import heat_maps  # noqa: PLC0415

    # A release that was replaced must not replace the one that uploads need.
    is_active = release.mode == "active"
    ensemble = (runtime.active if is_active else runtime.shadow).ensemble_of(release)
    rendition = runtime.store.get_rendition(lease.image_id)
    square = decode_rendition(rendition, ensemble).square
    with runtime.device(ensemble):
        (heat,) = heat_maps(ensemble, square[None])
    runtime.store.put_heat_map(lease.image_id, release.name, overlay(rendition, heat))
