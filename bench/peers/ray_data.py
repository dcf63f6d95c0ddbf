"""Ray Data: actors that hold the ensemble, over photographs that are already on the disk."""

import time
from pathlib import Path

import numpy as np
import ray

from bench.peers import settings
from bench.peers.scoring import RecordingScorer

OBJECT_STORE_BYTES = 200 * 1024 * 1024


class Bulk:
    """Scores batches of paths, and commits each batch's results."""

    def __init__(self, chosen: settings.Settings) -> None:
        self._scorer = RecordingScorer(chosen)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Read, decode, score and record a batch of photographs."""
        # On Linux this clock is the same in every process.
        begun = time.monotonic()
        scores = self._scorer.score([Path(path) for path in batch["path"]])
        return {"begun": np.full(len(scores), begun)}


def main() -> None:
    chosen = settings.read()
    ray.init(
        num_cpus=chosen.layout.processes + 1,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        _temp_dir=str(chosen.scratch),
    )
    context = ray.data.DataContext.get_current()
    # Time counts once every actor has loaded the ensemble: over a night, loading is negligible.
    context.wait_for_min_actors_s = 600
    context.enable_progress_bars = False
    paths = chosen.paths()
    dataset = ray.data.from_items(
        [{"path": str(path)} for path in paths],
        # With blocks as small as batches, all actors finish at about the same time.
        override_num_blocks=-(-len(paths) // chosen.layout.batch),
    ).map_batches(
        Bulk,
        fn_constructor_args=(chosen,),
        batch_size=chosen.layout.batch,
        compute=ray.data.ActorPoolStrategy(size=chosen.layout.processes),
        num_cpus=1,
    )
    begun = [row["begun"] for row in dataset.iter_rows()]
    settings.write_seconds(chosen, time.monotonic() - min(begun))


if __name__ == "__main__":
    main()
