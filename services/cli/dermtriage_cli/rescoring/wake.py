"""Let idle workers start on a rescore run at once."""

from rich.markup import escape

from dermtriage.core.errors import ConfigurationError, Unavailable
from dermtriage.core.settings import Settings
from dermtriage.messaging.celery_app import make_celery
from dermtriage.messaging.sender import send_rescores
from dermtriage_cli.terminal.output import err


def wake_workers(settings: Settings, chunks: int) -> None:
    """Send a message per chunk, at most one per scoring thread; without Redis, print a note."""
    try:
        send_rescores(make_celery(settings), min(chunks, settings.scoring_threads))
    except (Unavailable, ConfigurationError) as error:
        err.print(f"{escape(str(error))} Upkeep wakes the workers instead, at its next recovery.")
