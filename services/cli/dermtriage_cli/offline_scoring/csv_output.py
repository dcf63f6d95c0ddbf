"""Scores as a CSV file."""

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dermtriage.core.errors import ConfigurationError
from dermtriage_cli.offline_scoring.scoring import COLUMNS


@contextmanager
def csv_writer(path: Path | None) -> Iterator[Any]:
    """Yield a function that writes a row at once, so that an interruption loses no row.

    Parameters
    ----------
    path
        The file; ``-`` for standard output, None to write nothing.

    Raises
    ------
    ConfigurationError
        If the file cannot be written.
    """
    if path is None:
        yield lambda _: None
        return
    try:
        file = sys.stdout if str(path) == "-" else path.open("w", newline="", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}.", remedy="Choose another file."
        ) from error
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()

    def write(row: dict[str, Any]) -> None:
        writer.writerow({name: _cell(value) for name, value in row.items()})
        file.flush()

    try:
        yield write
    finally:
        if file is not sys.stdout:
            file.close()


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return ";".join(value)
    return f"{value:.6f}" if isinstance(value, float) else value
