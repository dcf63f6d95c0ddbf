"""The forward limit: the ensemble as served, alone, on tensors in memory, in its best layout.

``python -m bench.forward RELEASE THREADS`` waits for a line on standard input, scores for some
seconds and prints its images a second.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import torch

from dermtriage_worker.ensemble.ensemble import Ensemble

BATCH = 16
SECONDS = 8.0


def limits(release: Path) -> dict[str, float]:
    """Images a second by layout: one process with all threads, and one a core with one each."""
    cores = os.cpu_count() or 1
    return {
        f"1 process, {cores} threads": _together(release, 1, cores),
        f"{cores} processes, 1 thread": _together(release, cores, 1),
    }


def _together(release: Path, processes: int, threads: int) -> float:
    command = [sys.executable, "-m", "bench.forward", str(release), str(threads)]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    # All are told before any is waited for, so that they run side by side.
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return sum(float(process.communicate()[0]) for process in started)


def main() -> None:
    torch.set_num_threads(int(sys.argv[2]))
    ensemble = Ensemble.load(Path(sys.argv[1]))
    side = ensemble.manifest.preprocessing.size
    generator = torch.Generator().manual_seed(0)
    batch = [
        torch.randint(0, 256, (3, side, side), dtype=torch.uint8, generator=generator)
        for _ in range(BATCH)
    ]
    ensemble.predict(batch)
    print("ready", flush=True)
    sys.stdin.readline()
    scored, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        ensemble.predict(batch)
        scored += BATCH
    print(scored / (time.perf_counter() - start))


if __name__ == "__main__":
    main()
