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
COMPARED = 1000
"""Photographs on which the ensemble as served is compared with the eager one."""

PEERS = 200
"""Photographs per layout of each peer."""


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
        say(f"Drawing {COMPARED} photographs")
        self._photographs = draw(folder / "drawn", COMPARED)

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
        """Compare the acceptance of uploads with a bare route."""
        return asdict(acceptance.measure(self._folder / "acceptance", on_step=self._say))

    def phone(self) -> object:
        """Measure photographs of 12 megapixels."""
        return asdict(phone.measure(self._releases / self.name, on_step=self._say))

    def worklist(self) -> object:
        """Measure pages and claims over a small and a large backlog."""
        return asdict(worklist.measure(on_step=self._say))

    def retriage(self) -> object:
        """Apply another policy to a large backlog."""
        return asdict(retriage.measure(self._folder / "retriage", on_step=self._say))

    def distance(self) -> object:
        """Compare a distant object store with a folder."""
        photographs = self._photographs[: distance.PHOTOGRAPHS + 1]
        folder = self._folder / "distance"
        return asdict(distance.measure(folder, self._releases, self.name, photographs, self._say))

    def peers(self) -> object:
        """Measure other serving systems on the same work, with the reference member too."""
        folder = self._folder / "peers"
        folder.mkdir()
        for path in self._photographs[:PEERS]:
            os.link(path, folder / path.name)
        found = {}
        for name in (self.name, REFERENCE):
            self._say(f"Peers with {name}")
            found[name] = self._other("bench.peers", folder, self._releases / name)
        return found

    def memory(self) -> object:
        """Measure resident memory over a small and a large run."""
        return asdict(memory.measure(self._folder / "memory", on_step=self._say))

    def _served(self, name: str) -> object:
        folder = self._folder / f"served-{name}"
        measured = served.measure(folder, self._releases, name, self._photographs, self._say)
        return measured.figures()

    def _other(self, module: str, *arguments: Path) -> object:
        # In a process of its own, so that what it loads does not affect the next part.
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
            # Written after each part: a later one may fail.
            RESULTS.write_text(json.dumps(report.with_summary(results), indent=2) + "\n")
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
