"""What a peer is told: where things lie, and how it spreads over the cores."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TypeVar

WARM_UP = 128
_VARIABLE = "DERMTRIAGE_PEER"
_RESULT = "result.json"
T = TypeVar("T")


@dataclass(frozen=True)
class Layout:
    """How a peer spreads over the cores.

    Attributes
    ----------
    processes, threads
        Processes that hold the ensemble, and threads that torch has in each.
    batch
        Photographs in a batch at most.
    """

    processes: int
    threads: int
    batch: int = 1

    def __str__(self) -> str:
        return f"processes: {self.processes}, threads: {self.threads}, batch: {self.batch}"


@dataclass(frozen=True)
class Settings:
    """What a peer is told.

    Attributes
    ----------
    folder, release
        The photographs and the release.
    count
        How many photographs are scored.
    layout
        See `Layout`.
    port
        A free one on 127.0.0.1.
    scratch
        A folder that is removed when the peer has ended.
    """

    folder: Path
    release: Path
    count: int
    layout: Layout
    port: int
    scratch: Path

    def environment(self) -> dict[str, str]:
        """Return the variable that carries them, through every process of a peer."""
        return {_VARIABLE: json.dumps(asdict(self), default=str)}

    def paths(self) -> list[Path]:
        """Return the photographs that are scored."""
        return photographs(self.folder, self.count)


def read() -> Settings:
    """Return the settings that this process was given."""
    told = json.loads(os.environ[_VARIABLE])
    for name in ("folder", "release", "scratch"):
        told[name] = Path(told[name])
    return Settings(**told | {"layout": Layout(**told["layout"])})


def photographs(folder: Path, count: int) -> list[Path]:
    """Return the first `count` photographs of a folder."""
    paths = sorted(folder.glob("*.jpg"))[:count]
    if not paths:
        raise SystemExit(f"There is no *.jpg in {folder}.")
    return paths


def warm_up(items: Sequence[T]) -> list[T]:
    """Return what is scored before the clock starts: enough for every process to have some."""
    return list(islice(cycle(items), WARM_UP))


def write_result(told: Settings, seconds: float, scores: Sequence[float]) -> None:
    """Leave a result where `read_result` finds it."""
    result = json.dumps({"seconds": seconds, "scores": list(scores)})
    (told.scratch / _RESULT).write_text(result)


def read_result(told: Settings) -> tuple[float, list[float]]:
    """Return seconds, and p_severe in the photographs' order."""
    result = json.loads((told.scratch / _RESULT).read_text())
    return result["seconds"], result["scores"]
