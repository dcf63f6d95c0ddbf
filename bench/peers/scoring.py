"""What every peer runs: our ensemble, from the bytes of a photograph to its p_severe."""

from collections.abc import Sequence
from pathlib import Path

import torch

from dermtriage_worker.ensemble.ensemble import Ensemble
from dermtriage_worker.photographs import open_photograph


class Scorer:
    """The ensemble in one process."""

    def __init__(self, release: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        self._ensemble = Ensemble.load(release)

    def score(self, photographs: Sequence[bytes]) -> list[float]:
        """Decode and score the bytes of JPEG files."""
        squares = [open_photograph(data, self._ensemble).prepared for data in photographs]
        return [prediction.p_severe for prediction in self._ensemble.predict(squares)]
