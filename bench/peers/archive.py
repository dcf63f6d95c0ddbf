"""What every peer stores of a photograph: its bytes on the disk, and its result in PostgreSQL."""

import os
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import psycopg

PHOTOGRAPHS = "photographs"
"""The folder below the peer's scratch folder."""

_TABLE = "CREATE TABLE results (photograph text PRIMARY KEY, p_severe real NOT NULL)"
_INSERT = "INSERT INTO results (photograph, p_severe) VALUES (%s, %s)"


def create_table(database: str) -> None:
    """Create the table of results."""
    with psycopg.connect(database) as connection:
        connection.execute(_TABLE)


def read_results(database: str) -> dict[str, float]:
    """Return p_severe by the file name of the photograph."""
    with psycopg.connect(database) as connection:
        return dict(connection.execute("SELECT photograph, p_severe FROM results").fetchall())


def write_photograph(folder: Path, photograph: bytes) -> Path:
    """Write a photograph under a new name; it is on the disk when this returns."""
    path = folder / uuid4().hex
    with path.open("xb") as file:
        file.write(photograph)
        file.flush()
        os.fsync(file.fileno())
    return path


class Results:
    """Writes results, each call in a transaction of its own, over one connection."""

    def __init__(self, database: str) -> None:
        self._connection = psycopg.connect(database)

    def write(self, paths: Sequence[Path], p_severe: Sequence[float]) -> None:
        """Commit the results of some photographs."""
        rows = [(path.name, score) for path, score in zip(paths, p_severe, strict=True)]
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.executemany(_INSERT, rows)
