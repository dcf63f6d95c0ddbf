"""The floor: one process that decodes, preprocesses and scores, and does nothing else.

``python -m bench.floor FOLDER RELEASE`` prints its figures as JSON. It makes no renditions and
stores no results.
"""

import json
import sys
import time
from pathlib import Path
from statistics import median

from dermtriage_worker.ensemble.image.photograph import decode_rendition
from dermtriage_worker.ensemble.inference import Ensemble

BATCH = 16
WARM_UP = 16


def _prepared(ensemble: Ensemble, data: bytes):
    return decode_rendition(data, ensemble).square


def main() -> None:
    folder, release = Path(sys.argv[1]), Path(sys.argv[2])
    photographs = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]
    ensemble = Ensemble.load(release)
    ensemble.predict([_prepared(ensemble, data) for data in photographs[:WARM_UP]])

    start = time.perf_counter()
    for first in range(0, len(photographs), BATCH):
        batch = photographs[first : first + BATCH]
        ensemble.predict([_prepared(ensemble, data) for data in batch])
    in_batches = time.perf_counter() - start

    alone = []
    for data in photographs[:20]:
        start = time.perf_counter()
        ensemble.predict([_prepared(ensemble, data)])
        alone.append(time.perf_counter() - start)
    print(
        json.dumps(
            {
                "images_per_second": len(photographs) / in_batches,
                "alone_seconds": median(alone),
                "device": str(ensemble.device),
            }
        )
    )


if __name__ == "__main__":
    main()
