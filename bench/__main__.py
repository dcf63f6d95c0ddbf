"""Measure, print the table, and write bench/results.json and bench/RESULTS.md.

``python -m bench`` measures everything in one run; ``python -m bench PART...`` measures some parts
again and keeps the others.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from rich.console import Console

from bench import acceptance, distance, memory, phone, report, retriage, served, worklist
from bench.photographs import draw
from bench.releases import REFERENCE, add_reference
from dermtriage.core.settings import get_settings

RESULTS = Path(__file__).parent / "results.json"
ALIKE = 1000
"""Photographs on which the ensemble as served is compared with the eager one."""

PEERS = 200
"""Photographs that each layout of each peer gets."""


class Bench:
    """The parts, each on the same releases and photographs in one temporary folder."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._releases = folder / "releases"
        settings = get_settings()
        self.name = settings.default_release
        shutil.copytree(settings.releases_dir / self.name, self._releases / self.name)
        add_reference(self._releases)
        say(f"Drawing {ALIKE} photographs")
        self._photographs = draw(folder / "drawn", ALIKE)

    def shipped(self) -> object:
        """Measure the shipped release in the whole system."""
        return self._served(self.name)

    def reference(self) -> object:
        """Measure the reference member in the whole system."""
        return self._served(REFERENCE)

    def eager(self) -> object:
        """Compare the ensemble as served with eager full precision."""
        self._say("The ensemble as served and in eager full precision")
        return self._other("bench.eager", self._folder / "drawn", self._releases / self.name)

    def acceptance(self) -> object:
        """Compare uploads with a bare route."""
        return asdict(acceptance.measure(self._folder / "acceptance", on_step=self._say))

    def phone(self) -> object:
        """Measure photographs of 12 megapixels."""
        return asdict(phone.measure(self._releases / self.name, on_step=self._say))

    def worklist(self) -> object:
        """Measure pages and claims over a small and a large backlog."""
        return asdict(worklist.measure(on_step=self._say))

    def retriage(self) -> object:
        """Change the policy of a large backlog."""
        return asdict(retriage.measure(self._folder / "retriage", on_step=self._say))

    def distance(self) -> object:
        """Compare an object store some way off with a folder."""
        photographs = self._photographs[: distance.PHOTOGRAPHS + 1]
        folder = self._folder / "distance"
        return asdict(distance.measure(folder, self._releases, self.name, photographs, self._say))

    def peers(self) -> object:
        """Measure others on the same members and photographs, with the reference member too."""
        rush = self._folder / "peers"
        rush.mkdir()
        for path in self._photographs[:PEERS]:
            os.link(path, rush / path.name)
        found = {}
        for name in (self.name, REFERENCE):
            self._say(f"Peers with {name}")
            found[name] = self._other("bench.peers", rush, self._releases / name)
        return found

    def memory(self) -> object:
        """Measure resident memory over a small and a large run."""
        return asdict(memory.measure(self._folder / "memory", on_step=self._say))

    def _served(self, name: str) -> object:
        folder = self._folder / f"served-{name}"
        measured = served.measure(folder, self._releases, name, self._photographs, self._say)
        return measured.figures()

    def _other(self, module: str, *arguments: Path) -> object:
        # In a process of its own: what it loads must not weigh on what is measured next.
        command = [sys.executable, "-m", module, *map(str, arguments)]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


PARTS = [name for name in vars(Bench) if not name.startswith("_")]


def main() -> None:
    console = Console(stderr=True)
    chosen = sys.argv[1:] or PARTS
    if unknown := sorted(set(chosen) - set(PARTS)):
        sys.exit(f"There is no part {unknown[0]}; there are {', '.join(PARTS)}.")
    results = json.loads(RESULTS.read_text()) if sys.argv[1:] and RESULTS.exists() else {}
    with TemporaryDirectory(prefix="dermtriage-bench-") as temporary:
        bench = Bench(Path(temporary), lambda step: console.print(f"[dim]{step}[/dim]"))
        for part in chosen:
            environment = dict(os.environ)
            results[part] = {"measured": _circumstances(bench.name), **getattr(bench, part)()}
            os.environ.clear()
            os.environ.update(environment)
            get_settings.cache_clear()
            # What was measured stays, also if a later part fails.
            RESULTS.write_text(json.dumps(report.headed(results), indent=2) + "\n")
            report.write(results)
    report.show(results)


def _circumstances(release: str) -> dict[str, str]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "release": release,
        "machine": f"{_processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "celery": version("celery"),
        "sqlalchemy": version("sqlalchemy"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


if __name__ == "__main__":
    main()
