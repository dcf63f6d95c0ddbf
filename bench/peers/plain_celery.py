"""Celery behind FastAPI, used as in their tutorials: a route stores a photograph, sends a task.

One task per photograph, one single-threaded process per core, Redis as the broker. The route
answers once the photograph is on the disk and the task is in Redis; the result follows.
"""

import subprocess
import sys
from pathlib import Path

import uvicorn
from celery import Celery
from celery.signals import worker_process_init
from fastapi import Body, FastAPI

from bench.peers import settings
from bench.peers.archive import write_photograph
from bench.peers.http_load import PATH
from bench.peers.scoring import RecordingScorer
from dermtriage_cli.embedded.server_binaries import redis_binary

_settings = settings.read()
_socket = _settings.scratch / "redis.sock"

app = Celery("bench.peers.plain_celery", broker=f"redis+socket://{_socket}")
app.conf.update(
    # A task whose process dies is delivered again.
    task_acks_late=True,
    task_ignore_result=True,
    # Loading the ensemble takes longer than a process may take by default.
    worker_proc_alive_timeout=180,
    worker_prefetch_multiplier=8,
    broker_connection_retry_on_startup=True,
)
api = FastAPI()
_scorers: list[RecordingScorer] = []


@worker_process_init.connect
def _load(**_: object) -> None:
    _scorers.append(RecordingScorer(_settings))


@app.task(name="score")
def score(path: str) -> None:
    """Score one file, and record the result."""
    _scorers[0].score([Path(path)])


@api.post(PATH, status_code=202)
def accept(photograph: bytes = Body(media_type="image/jpeg")) -> None:
    """Store a photograph, and send the task that scores it."""
    score.delay(str(write_photograph(_settings.archive, photograph)))


def main() -> None:
    files = ("--dir", str(_settings.scratch), "--unixsocket", str(_socket), "--port", "0")
    subprocess.Popen([redis_binary(), *files, "--save", "", "--appendonly", "yes"])
    worker = ("-m", "celery", "--app", "bench.peers.plain_celery", "worker")
    pool = ("--pool", "prefork", "--concurrency", str(_settings.layout.processes))
    alone = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    subprocess.Popen([sys.executable, *worker, *pool, *alone, "--loglevel", "WARNING"])
    uvicorn.run(api, host="127.0.0.1", port=_settings.port, log_level="warning")


if __name__ == "__main__":
    main()
