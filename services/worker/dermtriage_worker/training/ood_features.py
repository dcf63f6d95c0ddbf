"""Features of distorted photographs, as the out-of-distribution detector reads them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dermtriage_worker.ensemble.image.quality import measure_quality
from dermtriage_worker.ensemble.image.views import Views
from dermtriage_worker.ensemble.metadata import encode
from dermtriage_worker.ensemble.networks.scoring_network import ScoringNetwork
from dermtriage_worker.ensemble.ood import add_contrast
from dermtriage_worker.evaluation.labelled import Labelled
from dermtriage_worker.training.config import AugmentConfig
from dermtriage_worker.training.data import load_frames
from dermtriage_worker.training.distortions import distort

_CHUNK = 50


def distorted_features(
    network: ScoringNetwork, records: Sequence[Labelled], config: AugmentConfig, *, seed: int
) -> Tensor:
    """Compute a member's features of photographs after random distortions: shape (n, f)."""
    chunks = [
        ood_features(
            network, distort(load_frames(records[start : start + _CHUNK]), config, seed + start)
        )
        for start in range(0, len(records), _CHUNK)
    ]
    return torch.cat(chunks)


@torch.inference_mode()
def ood_features(network: ScoringNetwork, squares: Tensor) -> Tensor:
    """Compute a member's features of prepared squares, uint8, shape (n, 3, s, s): shape (n, f)."""
    return torch.cat(
        [
            add_contrast(
                network.logits_and_features(Views(chunk), encode([{}] * len(chunk)))[1],
                measure_quality(list(chunk)),
            )
            for chunk in torch.split(squares, _CHUNK)
        ]
    )
