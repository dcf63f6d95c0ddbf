"""Run every measurement once, print the table, and write bench/results.json."""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from rich.console import Console
from rich.table import Table

from bench import forward, rescoring, whole_system, worklist
from bench.photographs import draw
from dermtriage.settings import get_settings

RUSH = 500
RESULTS = Path(__file__).parent / "results.json"


def _floor(folder: Path, release: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.floor", str(folder), str(release)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(out)


def main() -> None:
    console = Console()
    shipped = get_settings()
    name = shipped.default_release

    def say(step: str) -> None:
        console.print(f"[dim]{step}[/dim]")

    with TemporaryDirectory(prefix="dermtriage-bench-") as temporary:
        folder = Path(temporary)
        release = folder / "releases" / name
        shutil.copytree(shipped.releases_dir / name, release)
        rescoring.add_twin(release.parent, name)
        # The embedded stack hands its environment on to the processes that it starts.
        os.environ["DERMTRIAGE_RELEASES_DIR"] = str(release.parent)
        get_settings.cache_clear()
        say("Drawing photographs")
        drawn = draw(folder / "drawn", RUSH + whole_system.LONE_UPLOADS)
        rush, lone = drawn[:RUSH], drawn[RUSH:]
        # The floor sees the very photographs of the rush.
        (folder / "rush").mkdir()
        for path in rush:
            os.link(path, folder / "rush" / path.name)
        # The machine's speed drifts, so the floor is taken before and after.
        say("Forward limit and floor, before")
        limits = [forward.limits(release)]
        floors = [_floor(folder / "rush", release)]
        system = whole_system.measure(folder / "data", rush, lone, say)
        say("Forward limit and floor, after")
        limits.append(forward.limits(release))
        floors.append(_floor(folder / "rush", release))
    say("Worklist at 10,000 and 1,000,000 cases")
    small, large, plan = worklist.measure()

    floor_rate = median(floor["images_per_second"] for floor in floors)
    limit = max(median(one[layout] for one in limits) for layout in limits[0])
    alone = median(floor["alone_seconds"] for floor in floors)
    results = {
        "rescoring_over_forward": round(system.rescored_per_second / limit, 3),
        "uploads_over_forward": round(system.images_per_second / limit, 3),
        "rescored_images_per_second": round(system.rescored_per_second, 2),
        "forward_images_per_second": [
            {layout: round(rate, 2) for layout, rate in one.items()} for one in limits
        ],
        "uploads_over_floor": round(system.images_per_second / floor_rate, 3),
        "idle_latency_over_scoring": round(system.idle_latency / alone, 3),
        "worklist_million_over_ten_thousand": round(large / small, 3),
        "uploads_images_per_second": round(system.images_per_second, 2),
        "floor_images_per_second": [round(floor["images_per_second"], 2) for floor in floors],
        "mean_batch": round(system.mean_batch, 1),
        "idle_latency_seconds": round(system.idle_latency, 4),
        "scoring_alone_seconds": round(alone, 4),
        "worklist_page_seconds": [round(small, 5), round(large, 5)],
        "worklist_plan": plan.splitlines(),
        "release": name,
        "device": floors[0]["device"],
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")

    table = Table("measured", "against", "ratio", "goal", title="One run on this machine")
    table.add_row(
        f"rescoring {RUSH + whole_system.LONE_UPLOADS} photographs:"
        f" {system.rescored_per_second:.1f} images/s",
        f"the ensemble alone, best layout: {limit:.1f} images/s",
        f"{results['rescoring_over_forward']:.2f}",
        "≥ 0.90",
    )
    table.add_row(
        f"{RUSH} uploads: {system.images_per_second:.1f} images/s",
        f"the ensemble alone, best layout: {limit:.1f} images/s",
        f"{results['uploads_over_forward']:.2f}",
        "≥ 0.80",
    )
    table.add_row(
        f"{RUSH} uploads, first POST to last assessment: {system.images_per_second:.1f} images/s",
        f"one process, no system: {floor_rate:.1f} images/s",
        f"{results['uploads_over_floor']:.2f}",
        "≥ 0.80",
    )
    table.add_row(
        f"idle, 202 to worklist: {system.idle_latency * 1000:.0f} ms",
        f"scoring one photograph alone: {alone * 1000:.0f} ms",
        f"{results['idle_latency_over_scoring']:.2f}",
        "≤ 3",
    )
    table.add_row(
        f"worklist page at {worklist.LARGE:,} cases: {large * 1000:.2f} ms",
        f"at {worklist.SMALL:,} cases: {small * 1000:.2f} ms",
        f"{results['worklist_million_over_ten_thousand']:.2f}",
        "≤ 2",
    )
    console.print(table)
    console.print(plan, style="dim")
    console.print(f"Written to {RESULTS.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
