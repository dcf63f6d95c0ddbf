"""The settings of a peer: its files, its servers, and how it uses the cores."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TypeVar

from bench.peers.archive import PHOTOGRAPHS

WARM_UP = 128
_VARIABLE = "DERMTRIAGE_PEER"
_SECONDS = "seconds.json"
T = TypeVar("T")


@dataclass(frozen=True)
class Layout:
    """How a peer is spread over the cores.

    Attributes
    ----------
    processes, threads
        Processes that hold the ensemble, and threads of torch in each.
    batch
        The maximum number of photographs per batch.
    """

    processes: int
    threads: int
    batch: int = 1

    def __str__(self) -> str:
        return f"processes: {self.processes}, threads: {self.threads}, batch: {self.batch}"


@dataclass(frozen=True)
class Settings:
    """The settings of a peer.

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
    database
        Of PostgreSQL, as psycopg takes it, with the table of `archive`.
    """

    folder: Path
    release: Path
    count: int
    layout: Layout
    port: int
    scratch: Path
    database: str

    def environment(self) -> dict[str, str]:
        """Return the variable that passes the settings to every process of a peer."""
        return {_VARIABLE: json.dumps(asdict(self), default=str)}

    def paths(self) -> list[Path]:
        """Return the photographs that are scored."""
        return photographs(self.folder, self.count)

    @property
    def archive(self) -> Path:
        """The folder in which a peer stores the photographs that it receives."""
        return self.scratch / PHOTOGRAPHS


def read() -> Settings:
    """Return the settings of this process."""
    values = json.loads(os.environ[_VARIABLE])
    for name in ("folder", "release", "scratch"):
        values[name] = Path(values[name])
    return Settings(**values | {"layout": Layout(**values["layout"])})


def photographs(folder: Path, count: int) -> list[Path]:
    """Return the first `count` photographs of a folder."""
    paths = sorted(folder.glob("*.jpg"))[:count]
    if not paths:
        raise SystemExit(f"There is no *.jpg in {folder}.")
    return paths


def warm_up(items: Sequence[T]) -> list[T]:
    """Return the items that are scored before the clock starts: some for every process."""
    return list(islice(cycle(items), WARM_UP))


def write_seconds(settings: Settings, seconds: float) -> None:
    """Write the seconds that a peer took, for `read_seconds`."""
    (settings.scratch / _SECONDS).write_text(json.dumps(seconds))


def read_seconds(settings: Settings) -> float:
    """Return the seconds that a peer took."""
    return float(json.loads((settings.scratch / _SECONDS).read_text()))
