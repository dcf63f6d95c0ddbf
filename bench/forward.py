"""The forward limit: the ensemble as served, alone, on tensors in memory, in its best layout.

``python -m bench.forward RELEASE THREADS BATCH`` waits for a line on standard input, scores for
some seconds and prints its images per second and CPU seconds per image as JSON.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import torch

from dermtriage_worker.ensemble.inference import Ensemble

BATCHES = (1, 16)
SECONDS = 6.0


@dataclass(frozen=True)
class Layout:
    """How the cores are divided among processes and threads."""

    processes: int
    threads: int
    batch: int

    def __str__(self) -> str:
        return f"{self.processes} x {self.threads} threads, batches of {self.batch}"


@dataclass(frozen=True)
class Limit:
    """What one layout reached."""

    layout: Layout
    images_per_second: float
    cpu_seconds_per_image: float


def limits(release: Path) -> list[Limit]:
    """Measure one process with all threads, and one process per core, at several batch sizes."""
    cores = os.cpu_count() or 1
    return [
        measure(release, Layout(processes, threads, batch))
        for batch in BATCHES
        for processes, threads in ((1, cores), (cores, 1))
    ]


def best(tried: list[Limit]) -> Limit:
    """Return the fastest layout."""
    return max(tried, key=lambda limit: limit.images_per_second)


def measure(release: Path, layout: Layout) -> Limit:
    """Measure one layout for some seconds."""
    arguments = (str(release), str(layout.threads), str(layout.batch))
    command = [sys.executable, "-m", "bench.forward", *arguments]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(layout.processes)
    ]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    # All are started before any is waited for, so that they run concurrently.
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    figures = [json.loads(process.communicate()[0]) for process in started]
    rates = [one["images_per_second"] for one in figures]
    costs = [one["cpu_seconds_per_image"] for one in figures]
    return Limit(layout, sum(rates), mean(costs))


def between(one: Limit, other: Limit) -> Limit:
    """Return the mean of two measurements of a layout, made before and after something else."""
    return Limit(
        one.layout,
        mean([one.images_per_second, other.images_per_second]),
        mean([one.cpu_seconds_per_image, other.cpu_seconds_per_image]),
    )


def main() -> None:
    torch.set_num_threads(int(sys.argv[2]))
    ensemble = Ensemble.load(Path(sys.argv[1]))
    side = ensemble.manifest.preprocessing.size
    generator = torch.Generator().manual_seed(0)
    batch = [
        torch.randint(0, 256, (3, side, side), dtype=torch.uint8, generator=generator)
        for _ in range(int(sys.argv[3]))
    ]
    ensemble.predict(batch)
    print("ready", flush=True)
    sys.stdin.readline()
    scored, start, spent = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - start < SECONDS:
        ensemble.predict(batch)
        scored += len(batch)
    figures = {
        "images_per_second": scored / (time.perf_counter() - start),
        "cpu_seconds_per_image": (time.process_time() - spent) / scored,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
