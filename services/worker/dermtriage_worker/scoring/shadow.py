"""Score with a second release for comparison alone, when the scores that count are recorded.

Nothing here changes a case or gives an image back: whatever goes wrong with a shadow is logged,
and the photographs go without its scores.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress

import torch

from dermtriage.core.errors import DermtriageError, Unavailable
from dermtriage.database.engine import outage_as_unavailable
from dermtriage.models import Release
from dermtriage.releases import activation
from dermtriage.releases.queries import current_shadow
from dermtriage.scoring import recording
from dermtriage_worker.ensemble.device import DeviceLost
from dermtriage_worker.ensemble.image.photograph import decode_rendition
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.scoring.batch import reason_of
from dermtriage_worker.scoring.claimed import Ready, result_of
from dermtriage_worker.scoring.runtime import Runtime

logger = logging.getLogger(__name__)


def score_shadow(
    runtime: Runtime, ready: Sequence[Ready], active: Release, active_ensemble: Ensemble
) -> None:
    """Score photographs with the shadow, if there is one, and record what it says.

    Parameters
    ----------
    ready
        Of which the active release's scores are recorded.
    active, active_ensemble
        By which they are prepared.

    Raises
    ------
    DeviceLost
        If the shadow brought the device down; it is no shadow any more.
    """
    if not ready or runtime.stopping.is_set():
        return
    try:
        with outage_as_unavailable(), runtime.sessions() as session:
            release = current_shadow(session)
    except Unavailable as error:
        logger.warning("shadow not looked for", extra={"reason": error.code})
        return
    # A release that was replaced in the middle of its batch may be the shadow by now.
    if release is None or release.id == active.id:
        return
    try:
        _score(runtime, ready, active_ensemble, release)
    except torch.AcceleratorError as error:
        # The next process would lose its device, and other threads their batches, again.
        with (
            suppress(Unavailable),
            outage_as_unavailable(),
            runtime.sessions.begin() as session,
        ):
            activation.set_shadow_release(session, name=None)
        logger.critical("shadow ended, it lost the device", extra={"release": release.name})
        raise DeviceLost("The device failed under the shadow release.") from error
    except Exception as error:  # no fault of a shadow may touch an upload
        ours = isinstance(error, DermtriageError)
        logger.error(
            "shadow failed",
            extra={
                "release": release.name,
                "images": len(ready),
                "reason": reason_of(error),
            },
            exc_info=None if ours else error,
        )


def _score(runtime: Runtime, ready: Sequence[Ready], active: Ensemble, release: Release) -> None:
    ensemble = runtime.shadows.get(release)
    same = ensemble.manifest.preprocessing == active.manifest.preprocessing
    squares = [
        item.photograph.square
        if same
        else decode_rendition(item.photograph.rendition, ensemble).square
        for item in ready
    ]
    with runtime.turn(ensemble):
        said = ensemble.predict(squares, [item.lease.inputs for item in ready])
    results = [result_of(item, prediction) for item, prediction in zip(ready, said, strict=True)]
    with outage_as_unavailable(), runtime.sessions.begin() as session:
        recording.insert_assessments(
            session, results, release_id=release.id, device=str(ensemble.device)
        )
