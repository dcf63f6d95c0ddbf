"""One release: its forward limit, and the whole system with it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median

from bench import forward, whole_system
from bench.releases import add_twin
from dermtriage.core.settings import get_settings

BURST = 500
"""Photographs that are uploaded at once."""


@dataclass(frozen=True)
class Served:
    """The speed of a release in the whole system, and alone."""

    release: str
    limits: list[forward.Limit]
    floor_per_second: float
    """Images per second of one process that decodes and scores in turn."""
    alone_seconds: float
    """Seconds to decode and score one photograph, without the system."""
    system: whole_system.Measured

    @property
    def limit(self) -> forward.Limit:
        """The forward limit of the best layout."""
        return forward.best(self.limits)

    def figures(self) -> dict[str, object]:
        """Return everything, and the ratios: medians of the rounds."""
        system = self.system
        batch = whole_system.BATCH / self.limit.images_per_second
        uploads = median(each.images_per_second for each in system.uploads)
        return {
            "rescoring_over_forward": median(each.over_limit for each in system.rescoring),
            "uploads_over_forward": median(each.over_limit for each in system.uploads),
            "rescored_per_second": median(each.images_per_second for each in system.rescoring),
            "uploads_per_second": uploads,
            "uploads_over_floor": uploads / self.floor_per_second,
            "idle_latency_over_scoring": system.idle_latency / self.alone_seconds,
            "latency_in_run_over_bound": [
                seconds / (system.idle_latency + 2 * batch) for seconds in system.latency_in_run
            ],
            "non_forward_cpu_ms_per_image": {
                "uploads": 1000 * median(each.cpu_beside for each in system.uploads),
                "rescoring": 1000 * median(each.cpu_beside for each in system.rescoring),
            },
            **asdict(self),
        }


def measure(
    folder: Path,
    releases: Path,
    name: str,
    photographs: Sequence[Path],
    on_step: Callable[[str], None],
) -> Served:
    """Measure a release alone and in the whole system, on the same photographs.

    Parameters
    ----------
    folder
        For the system's data.
    releases
        The folder that holds the release; receives its twins.
    photographs
        `BURST` of them, and `whole_system.LONE` others.
    """
    release = releases / name
    twins = [
        add_twin(releases, name, f"night-{number}") for number in range(1, whole_system.TWINS + 1)
    ]
    # The embedded stack passes its environment to the processes that it starts.
    os.environ["DERMTRIAGE_RELEASES_DIR"] = str(releases)
    os.environ["DERMTRIAGE_DEFAULT_RELEASE"] = name
    get_settings.cache_clear()
    burst, lone = photographs[:BURST], photographs[BURST : BURST + whole_system.LONE]
    # The floor is measured on the photographs of the burst.
    for path in burst:
        folder.joinpath("burst").mkdir(parents=True, exist_ok=True)
        os.link(path, folder / "burst" / path.name)
    on_step(f"{name}: forward limit of all layouts")
    limits = forward.limits(release)
    layout = forward.best(limits).layout
    on_step(f"{name}: floor")
    floors = [_floor(folder / "burst", release)]
    system = whole_system.measure(
        folder / "data",
        burst,
        lone,
        twins,
        lambda: forward.measure(release, layout),
        lambda step: on_step(f"{name}: {step}"),
    )
    on_step(f"{name}: floor again")
    floors.append(_floor(folder / "burst", release))
    return Served(
        release=name,
        limits=limits,
        floor_per_second=mean(floor["images_per_second"] for floor in floors),
        alone_seconds=mean(floor["alone_seconds"] for floor in floors),
        system=system,
    )


def _floor(folder: Path, release: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.floor", str(folder), str(release)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(out)
