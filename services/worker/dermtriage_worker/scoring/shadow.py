"""Score with a shadow release, only for comparison, after the active release's scores are stored.

Nothing here changes a case or releases a lease: if the shadow release fails, the failure is logged
and the photographs have no scores of it.
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
from dermtriage_worker.scoring.batch import LoadedImage, scored_image
from dermtriage_worker.scoring.failures import failure_reason
from dermtriage_worker.scoring.runtime import Runtime

logger = logging.getLogger(__name__)


def score_shadow(
    runtime: Runtime, images: Sequence[LoadedImage], active: Release, active_ensemble: Ensemble
) -> None:
    """Score photographs with the shadow release, if one is set, and record its assessments.

    Parameters
    ----------
    images
        Scored by the active release.
    active, active_ensemble
        Of the release for which they were prepared.

    Raises
    ------
    DeviceLost
        If the device failed under the shadow release, which is then unset.
    """
    if not images or runtime.stopping.is_set():
        return
    try:
        with outage_as_unavailable(), runtime.sessions() as session:
            release = current_shadow(session)
    except Unavailable as error:
        logger.warning("shadow release not read", extra={"reason": error.code})
        return
    # A release that was replaced during its batch may be the shadow by now.
    if release is None or release.id == active.id:
        return
    try:
        _score(runtime, images, active_ensemble, release)
    except torch.AcceleratorError as error:
        # Otherwise the next process would lose its device as well, and the batches of its threads.
        with (
            suppress(Unavailable),
            outage_as_unavailable(),
            runtime.sessions.begin() as session,
        ):
            activation.set_shadow_release(session, name=None)
        logger.critical("shadow unset, the device failed under it", extra={"release": release.name})
        raise DeviceLost("The device failed under the shadow release.") from error
    except Exception as error:  # no failure of a shadow may touch an upload
        ours = isinstance(error, DermtriageError)
        logger.error(
            "shadow failed",
            extra={
                "release": release.name,
                "images": len(images),
                "reason": failure_reason(error),
            },
            exc_info=None if ours else error,
        )


def _score(
    runtime: Runtime, images: Sequence[LoadedImage], active: Ensemble, release: Release
) -> None:
    ensemble = runtime.shadow.ensemble_of(release)
    same = ensemble.manifest.preprocessing == active.manifest.preprocessing
    squares = [
        image.photograph.square
        if same
        else decode_rendition(image.photograph.rendition, ensemble).square
        for image in images
    ]
    with runtime.device(ensemble):
        predictions = ensemble.predict(squares, [image.lease.inputs for image in images])
    results = [
        scored_image(image, prediction)
        for image, prediction in zip(images, predictions, strict=True)
        if prediction.invalid_figure() is None
    ]
    if len(results) < len(images):
        logger.error(
            "shadow gave no score",
            extra={"release": release.name, "images": len(images) - len(results)},
        )
    with outage_as_unavailable(), runtime.sessions.begin() as session:
        recording.insert_assessments(
            session, results, release_id=release.id, device=str(ensemble.device)
        )
