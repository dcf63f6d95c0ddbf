"""A claimed image on its way: what awaits the device, and what the database gets of it."""

from dataclasses import dataclass

from dermtriage.scoring.leases import Lease
from dermtriage.scoring.recording import ScoredImage
from dermtriage_worker.ensemble.image.photograph import Photograph
from dermtriage_worker.ensemble.inference import Prediction


@dataclass(frozen=True, slots=True)
class Ready:
    """A claimed image that awaits the device."""

    lease: Lease
    photograph: Photograph


def result_of(item: Ready, prediction: Prediction) -> ScoredImage:
    """Return what is written of a prediction."""
    return ScoredImage(
        lease=item.lease,
        p_severe=prediction.p_severe,
        probabilities=prediction.probabilities,
        disagreement=prediction.disagreement,
        out_of_scope=prediction.out_of_scope,
        members=prediction.members,
        quality=prediction.quality,
        inputs=prediction.inputs,
    )
