"""One release: its limits before and after, and the whole system that serves it in between."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bench import forward, whole_system
from bench.releases import add_twin
from dermtriage.settings import get_settings

RUSH = 500


@dataclass(frozen=True)
class Served:
    """What a release reaches, and what the machine would bear."""

    release: str
    limits: list[forward.Limit]
    floor_per_second: float
    """Of one process that decodes and scores in turn."""
    alone_seconds: float
    """To score one photograph that is decoded already."""
    system: whole_system.Measured

    @property
    def limit(self) -> forward.Limit:
        """The best layout."""
        return forward.best(self.limits)

    def figures(self) -> dict[str, object]:
        """Return everything, and the ratios."""
        limit, system = self.limit, self.system
        batch = whole_system.BATCH / limit.images_per_second
        return {
            "rescoring_over_forward": system.rescored_per_second / limit.images_per_second,
            "uploads_over_forward": system.uploads_per_second / limit.images_per_second,
            "uploads_over_floor": system.uploads_per_second / self.floor_per_second,
            "idle_latency_over_scoring": system.idle_latency / self.alone_seconds,
            "latency_in_run_over_bound": [
                seconds / (system.idle_latency + 2 * batch) for seconds in system.latency_in_run
            ],
            "non_forward_cpu_ms_per_image": {
                "uploads": 1000 * (system.uploads_cpu - limit.cpu_seconds_per_image),
                "rescoring": 1000 * (system.rescoring_cpu - limit.cpu_seconds_per_image),
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
    """Measure a release on the same photographs in all ways.

    Parameters
    ----------
    folder
        For the system's data.
    releases
        The folder that holds the release; receives its twins.
    photographs
        `RUSH` of them, and `whole_system.LONE` others.
    """
    release = releases / name
    twins = (add_twin(releases, name, "night"), add_twin(releases, name, "day"))
    # The embedded stack hands its environment on to the processes that it starts.
    os.environ["DERMTRIAGE_RELEASES_DIR"] = str(releases)
    os.environ["DERMTRIAGE_DEFAULT_RELEASE"] = name
    get_settings.cache_clear()
    rush, lone = photographs[:RUSH], photographs[RUSH : RUSH + whole_system.LONE]
    # The floor sees the very photographs of the rush.
    for path in rush:
        folder.joinpath("rush").mkdir(parents=True, exist_ok=True)
        os.link(path, folder / "rush" / path.name)
    # The machine's speed drifts, so limits and floor are taken before and after.
    on_step(f"{name}: forward limit and floor, before")
    limits, floors = forward.limits(release), [_floor(folder / "rush", release)]
    system = whole_system.measure(
        folder / "data", rush, lone, twins, lambda step: on_step(f"{name}: {step}")
    )
    on_step(f"{name}: forward limit and floor, after")
    after = forward.limits(release)
    floors.append(_floor(folder / "rush", release))
    return Served(
        release=name,
        limits=[_middle(one, other) for one, other in zip(limits, after, strict=True)],
        floor_per_second=median(floor["images_per_second"] for floor in floors),
        alone_seconds=median(floor["alone_seconds"] for floor in floors),
        system=system,
    )


def _middle(one: forward.Limit, other: forward.Limit) -> forward.Limit:
    return forward.Limit(
        one.layout,
        median([one.images_per_second, other.images_per_second]),
        median([one.cpu_seconds_per_image, other.cpu_seconds_per_image]),
    )


def _floor(folder: Path, release: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.floor", str(folder), str(release)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(out)
