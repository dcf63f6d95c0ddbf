"""The services of the stack: API, scoring worker and upkeep, and how each is started."""

import os
import socket
import sys
from pathlib import Path

from dermtriage.core.settings import Settings
from dermtriage_cli.embedded.server_binaries import package_folder
from dermtriage_cli.embedded.service import Service
from dermtriage_cli.embedded.source_watcher import SourceWatcher


def make_services(
    settings: Settings, listener: socket.socket, logs: Path, *, reload: bool
) -> list[Service]:
    """Return the services, not yet started.

    Parameters
    ----------
    settings
        Complete settings: database, Redis, store and secret.
    listener
        The socket on which the API serves.
    logs
        Folder for one log per service.
    reload
        Whether a service restarts when its Python files change.
    """
    env = os.environ | {
        "DERMTRIAGE_DATABASE_URL": settings.database_url,
        "DERMTRIAGE_REDIS_URL": settings.redis_url.get_secret_value(),
        "DERMTRIAGE_STORE_URL": settings.store_url,
        "DERMTRIAGE_SECRET_KEY": settings.secret_key.get_secret_value(),
    }

    def service(name: str, package: str, *arguments: str, keep_open: list[int]) -> Service:
        return Service(
            name,
            [sys.executable, "-m", *arguments],
            logs / f"{name}.log",
            env,
            keep_open=keep_open,
            sources=_watch("dermtriage", package) if reload else None,
        )

    # The socket outlives the API: while the API restarts, connections wait in its queue.
    descriptor = listener.fileno()
    api = (
        *("uvicorn", "--factory", "dermtriage_api.app:create_app"),
        *("--fd", str(descriptor), "--no-access-log"),
        *("--log-level", "warning", "--timeout-graceful-shutdown", "3"),
        *("--http", "dermtriage_api.server.protocol:BoundedHttpProtocol", "--ws", "none"),
    )
    worker = "dermtriage_worker"
    return [
        service("api", "dermtriage_api", *api, keep_open=[descriptor]),
        service("worker", worker, f"{worker}.scoring", keep_open=[]),
        service("upkeep", worker, f"{worker}.upkeep", keep_open=[]),
    ]


def _watch(*packages: str) -> SourceWatcher:
    return SourceWatcher([folder for name in packages if (folder := package_folder(name))])
