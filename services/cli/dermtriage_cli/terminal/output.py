"""Output of the commands: results on standard output, everything else on standard error."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_PIPED_WIDTH = 160
"""Columns without a terminal, so that tables in logs are not cut at 80."""


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else _PIPED_WIDTH, highlight=False)


out = _console(stderr=False)
err = _console(stderr=True)


def print_json(data: Any) -> None:
    """Print data as JSON, for programs."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def print_error(text: str) -> None:
    """Print an error on standard error."""
    err.print(f"[bold red]Error:[/] {escape(text)}")


def print_left_out(files: Sequence[Path]) -> None:
    """Name the files of a folder that are not used."""
    for path in files:
        err.print(f"Left out: {escape(str(path))} is not a JPEG or PNG file.")


def progress() -> Progress:
    """Return a set of progress bars on standard error."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(elapsed_when_finished=False),
        console=err,
    )


@contextmanager
def steps() -> Iterator[Callable[[str], None]]:
    """Yield a function that shows the current step."""
    if not err.is_terminal:
        yield lambda step: err.print(f"{step} …")
        return
    with err.status("Starting") as status:
        yield lambda step: status.update(f"{step} …")
