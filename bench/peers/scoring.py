"""What every peer runs: our ensemble, from photographs on the disk to rows of results."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch

from bench.peers.archive import Results
from bench.peers.settings import Settings
from dermtriage_worker.ensemble import inference
from dermtriage_worker.ensemble.device import Compute, choose_compute
from dermtriage_worker.ensemble.image.photograph import decode_rendition
from dermtriage_worker.ensemble.inference import Ensemble


class Scorer:
    """The ensemble in one process.

    Parameters
    ----------
    batch
        The maximum number of photographs per call. A peer that scores one at a time gets passes of
        one: in passes of two, as served, each photograph would cost as much as two.
    """

    def __init__(self, release: Path, threads: int, batch: int) -> None:
        def fitting(device: str) -> Compute:
            compute = choose_compute(device)
            return replace(compute, pass_size=min(compute.pass_size, batch))

        torch.set_num_threads(threads)
        with patch.object(inference, "choose_compute", fitting):
            self._ensemble = Ensemble.load(release)

    def score(self, photographs: Sequence[bytes]) -> list[float]:
        """Decode and score the bytes of JPEG files."""
        squares = [decode_rendition(data, self._ensemble).square for data in photographs]
        return [prediction.p_severe for prediction in self._ensemble.predict(squares)]


class RecordingScorer:
    """Scores photographs that are on the disk, and commits the results before it returns them."""

    def __init__(self, settings: Settings) -> None:
        layout = settings.layout
        self._scorer = Scorer(settings.release, layout.threads, layout.batch)
        self._results = Results(settings.database)

    def score(self, paths: Sequence[Path]) -> list[float]:
        """Read, decode, score and record some photographs."""
        scores = self._scorer.score([path.read_bytes() for path in paths])
        self._results.write(paths, scores)
        return scores
