"""Plain Celery: one task a photograph, one single-threaded process a core, Redis as the broker."""

import subprocess
import sys
import time
from pathlib import Path

from celery import Celery, group
from celery.signals import worker_process_init

from bench.peers import settings
from bench.peers.scoring import Scorer
from dermtriage_cli.embedded.hosting import redis_binary

_told = settings.read()
_URL = f"redis://127.0.0.1:{_told.port}/0"

app = Celery("bench.peers.plain_celery", broker=_URL, backend=_URL)
app.conf.update(
    # Loading the ensemble takes longer than a process is given by default.
    worker_proc_alive_timeout=180,
    worker_prefetch_multiplier=8,
    broker_connection_retry_on_startup=True,
)
_scorers: list[Scorer] = []


@worker_process_init.connect
def _load(**_: object) -> None:
    _scorers.append(Scorer(_told.release, _told.layout.threads, _told.layout.batch))


@app.task(name="score")
def score(path: str) -> float:
    """Score one file; its path makes a smaller message than its bytes."""
    (p_severe,) = _scorers[0].score([Path(path).read_bytes()])
    return p_severe


def _score_all(paths: list[Path]) -> list[float]:
    return group(score.s(str(path)) for path in paths)().get(timeout=600)


def main() -> None:
    redis = ("--bind", "127.0.0.1", "--port", str(_told.port), "--dir", str(_told.scratch))
    subprocess.Popen([redis_binary(), *redis, "--save", "", "--appendonly", "no"])
    worker = ("-m", "celery", "--app", "bench.peers.plain_celery", "worker")
    pool = ("--pool", "prefork", "--concurrency", str(_told.layout.processes))
    alone = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    subprocess.Popen([sys.executable, *worker, *pool, *alone, "--loglevel", "WARNING"])
    paths = _told.paths()
    _score_all(settings.warm_up(paths))
    start = time.perf_counter()
    scores = _score_all(paths)
    settings.write_result(_told, time.perf_counter() - start, scores)


if __name__ == "__main__":
    main()
