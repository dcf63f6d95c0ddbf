"""Ray Data: actors that hold the ensemble, over the files of a folder."""

import time
from pathlib import Path

import numpy as np
import ray

from bench.peers import settings
from bench.peers.scoring import Scorer

OBJECT_STORE_BYTES = 200 * 1024 * 1024


class Bulk:
    """Scores batches of paths."""

    def __init__(self, told: settings.Settings) -> None:
        self._scorer = Scorer(told.release, told.layout.threads, told.layout.batch)
        paths = told.paths()
        self._score((paths * told.layout.batch)[: told.layout.batch])

    def _score(self, paths: list[Path]) -> list[float]:
        return self._scorer.score([path.read_bytes() for path in paths])

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Read, decode and score a batch of paths."""
        # This clock is the machine's, so it goes alike in every process.
        begun = time.monotonic()
        scores = self._score([Path(path) for path in batch["path"]])
        return {
            "path": batch["path"],
            "p_severe": np.array(scores),
            "begun": np.full(len(scores), begun),
        }


def main() -> None:
    told = settings.read()
    ray.init(
        num_cpus=told.layout.processes + 1,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        _temp_dir=str(told.scratch),
    )
    context = ray.data.DataContext.get_current()
    # No photograph is scored before every actor is there, as no request comes before every
    # server is: loading weighs nothing in a night.
    context.wait_for_min_actors_s = 600
    context.enable_progress_bars = False
    paths = told.paths()
    dataset = ray.data.from_items(
        [{"path": str(path)} for path in paths],
        # Blocks as small as batches leave no actor with many when the other has none.
        override_num_blocks=-(-len(paths) // told.layout.batch),
    ).map_batches(
        Bulk,
        fn_constructor_args=(told,),
        batch_size=told.layout.batch,
        compute=ray.data.ActorPoolStrategy(size=told.layout.processes),
        num_cpus=1,
    )
    rows = list(dataset.iter_rows())
    seconds = time.monotonic() - min(row["begun"] for row in rows)
    scores = {row["path"]: row["p_severe"] for row in rows}
    settings.write_result(told, seconds, [scores[str(path)] for path in paths])


if __name__ == "__main__":
    main()
