"""End leases on images that were leased for a score and got none."""

import logging
from collections.abc import Sequence

from dermtriage.core.clock import utcnow
from dermtriage.core.errors import DermtriageError
from dermtriage.scoring import lease_release, recording
from dermtriage.scoring.leases import Lease
from dermtriage_worker.scoring.failures import failure_reason, write_with_retries
from dermtriage_worker.scoring.runtime import Runtime

logger = logging.getLogger(__name__)


def fail_image(runtime: Runtime, lease: Lease, error: Exception) -> None:
    """Retry the image later, or leave it unscored after its last attempt."""
    reason = failure_reason(error)
    logger.warning(
        "image failed",
        extra={"image_id": lease.image_id, "attempts": lease.attempts, "reason": reason},
        exc_info=error if not isinstance(error, DermtriageError) else None,
    )
    if lease.attempts >= runtime.settings.max_attempts:
        write_with_retries(
            runtime, lambda s: recording.record_failure(s, lease, error=reason, now=utcnow())
        )
    else:
        delay = runtime.settings.outage_delay * lease.attempts
        write_with_retries(
            runtime, lambda s: lease_release.retry_later(s, lease, delay=delay, error=reason)
        )


def give_back(runtime: Runtime, leases: Sequence[Lease], error: Exception) -> None:
    """Give images back after an outage."""
    reason = type(error).__name__
    logger.error("outage, images given back", extra={"images": len(leases), "reason": reason})
    delay = runtime.settings.outage_delay
    write_with_retries(
        runtime,
        lambda s: lease_release.release_leases(s, leases, delay=delay, error=f"outage: {reason}"),
    )


def give_back_as_suspects(
    runtime: Runtime, leases: Sequence[Lease], error: DermtriageError
) -> None:
    """Give images back of which one may have broken the device.

    A device that is broken by itself stops the next process at its start.
    """
    delay = runtime.settings.outage_delay
    write_with_retries(
        runtime,
        lambda s: lease_release.release_as_suspects(s, leases, delay=delay, error=str(error)),
    )
