"""Score one batch of leased images: what fails for one image fails for that image alone."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import torch

from dermtriage.scoring.leases import Lease
from dermtriage.scoring.recording import ScoredImage
from dermtriage_worker.ensemble.device import DeviceLost, DeviceOutOfMemory
from dermtriage_worker.ensemble.image.photograph import Photograph
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.ensemble.prediction import Prediction
from dermtriage_worker.scoring.failures import NoScore, is_outage_of_loading
from dermtriage_worker.scoring.photograph_loader import Load
from dermtriage_worker.scoring.runtime import Runtime

Fail = Callable[[Lease, Exception], None]
"""Handles an image that failed by itself."""


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """A leased image with its decoded photograph."""

    lease: Lease
    photograph: Photograph


def load_images(
    runtime: Runtime, load: Load, leases: Sequence[Lease], fail: Fail
) -> list[LoadedImage]:
    """Load photographs; hand those that cannot be read or decoded to `fail`.

    Raises
    ------
    Unavailable, MemoryError
        If the photographs are not to blame: the whole store cannot be read, or there is no memory
        for an ordinary photograph.
    """
    images = []
    with closing(runtime.photographs.load_each(load, leases)) as loading:
        for lease, photograph in loading:
            try:
                images.append(LoadedImage(lease, photograph()))
            except Exception as error:
                if is_outage_of_loading(error):
                    raise
                fail(lease, error)
    return images


def predict(
    runtime: Runtime,
    ensemble: Ensemble,
    images: Sequence[LoadedImage],
    fail: Fail,
    *,
    urgent: bool = False,
) -> list[tuple[LoadedImage, Prediction]]:
    """Score photographs; hand those that cannot be scored to `fail`.

    Parameters
    ----------
    urgent
        Whether they are uploads, which pass the waiting batches of a run.

    Raises
    ------
    DeviceLost
        If the device failed for good.
    DeviceOutOfMemory, MemoryError
        If there is no memory for a batch.
    """
    if not images:
        return []
    try:
        with runtime.device(ensemble, urgent=urgent):
            predictions = ensemble.predict(
                [image.photograph.square for image in images],
                [image.lease.inputs for image in images],
            )
        _require_numbers(predictions)
    except (DeviceOutOfMemory, MemoryError):
        raise
    except torch.AcceleratorError as error:
        raise DeviceLost("The device failed.") from error
    except Exception as error:  # noqa: BLE001 - the other images go on, whatever it is
        if len(images) == 1:
            _require_device(runtime, ensemble, images[0].photograph.square, error)
            fail(images[0].lease, error)
            return []
        # One of them broke the batch: halve it until that one is alone.
        middle = len(images) // 2
        return [
            scored
            for half in (images[:middle], images[middle:])
            for scored in predict(runtime, ensemble, half, fail, urgent=urgent)
        ]
    return list(zip(images, predictions, strict=True))


def scored_image(image: LoadedImage, prediction: Prediction) -> ScoredImage:
    """Return what the database stores of a prediction."""
    return ScoredImage(
        lease=image.lease,
        p_severe=prediction.p_severe,
        probabilities=prediction.probabilities,
        disagreement=prediction.disagreement,
        out_of_scope=prediction.out_of_scope,
        members=prediction.members,
        quality=prediction.quality,
        inputs=prediction.inputs,
    )


def _require_device(
    runtime: Runtime, ensemble: Ensemble, like: torch.Tensor, error: Exception
) -> None:
    """Raise `DeviceLost` unless the device can score a black square: then the image is to blame."""
    try:
        with runtime.device(ensemble):
            ensemble.predict([torch.zeros_like(like)])
    except Exception:  # noqa: BLE001 - whatever it is, it is not the image
        raise DeviceLost("The device failed.") from error


def _require_numbers(predictions: Sequence[Prediction]) -> None:
    for prediction in predictions:
        if name := prediction.invalid_figure():
            raise NoScore(f"The ensemble's figure {name} is not a number in its range.")
