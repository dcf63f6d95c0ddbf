"""What every peer runs: our ensemble, from the bytes of a photograph to its p_severe."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch

from dermtriage_worker.ensemble import inference
from dermtriage_worker.ensemble.device import Compute, choose_compute
from dermtriage_worker.ensemble.image.photograph import decode_rendition
from dermtriage_worker.ensemble.inference import Ensemble


class Scorer:
    """The ensemble in one process.

    Parameters
    ----------
    batch
        The most photographs that come at once. Who brings one by one gets passes of one: as
        served, each would pay for two.
    """

    def __init__(self, release: Path, threads: int, batch: int) -> None:
        def fitting(device: str) -> Compute:
            compute = choose_compute(device)
            return replace(compute, chunk=min(compute.chunk, batch))

        torch.set_num_threads(threads)
        with patch.object(inference, "choose_compute", fitting):
            self._ensemble = Ensemble.load(release)

    def score(self, photographs: Sequence[bytes]) -> list[float]:
        """Decode and score the bytes of JPEG files."""
        squares = [decode_rendition(data, self._ensemble).square for data in photographs]
        return [prediction.p_severe for prediction in self._ensemble.predict(squares)]
