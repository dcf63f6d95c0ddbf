"""Accepting uploads: ``POST /v1/cases`` against a bare route that only stores the bytes.

The bare route is FastAPI too. It reads the same requests as raw bytes, writes them to a file in a
thread, and answers. It is as durable as our store, with the same fsyncs in the same order: of the
file and of its folder. It does not parse, check, hash or decode anything, authenticates nobody, has
neither database nor queue, and writes in place where our store writes a draft and renames it.

Each is one uvicorn process with the same command line, and both get the same photographs from the
same generator, alternating, since the machine's speed drifts. Ours has PostgreSQL and Redis on the
same cores, as the embedded stack does, but no worker, which would take the cores. The queue is full
before the clock starts, as in any burst of uploads that is faster than the workers.

``python -m bench.acceptance [REQUESTS]`` prints the figures as JSON.
"""

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from uuid import uuid4

import httpx
from fastapi import FastAPI, Request
from pydantic import SecretStr
from redis import Redis
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from bench import load
from bench.photographs import draw
from dermtriage.accounts.clinics import add_clinic
from dermtriage.core.settings import get_settings
from dermtriage.database.engine import make_engine, make_sessions
from dermtriage.messaging.sender import MAX_WAITING_MESSAGES
from dermtriage_cli.database.upgrade import upgrade_database
from dermtriage_cli.embedded.child_process import ChildProcess, tail
from dermtriage_cli.embedded.postgres import EmbeddedPostgres
from dermtriage_cli.embedded.redis import EmbeddedRedis
from dermtriage_cli.embedded.stack import HOST

REQUESTS = 1000
"""To each server in each round."""

ROUNDS = 2
CONNECTIONS = 16
WARM_UP = MAX_WAITING_MESSAGES + 64
"""Requests before the clock starts: enough to fill the queue."""

PHOTOGRAPHS = 100
START_TIMEOUT = 60.0
FOLDER = "BENCH_FOLDER"
"""The environment variable that names the folder of the bare route."""


@dataclass(frozen=True)
class Server:
    """How fast one of the two is; medians of the rounds.

    Attributes
    ----------
    cpu_ms
        Milliseconds of CPU per request, by process; `senders` is the load generator.
    """

    requests_per_second: float
    p99_seconds: float
    cpu_ms: dict[str, float]


@dataclass(frozen=True)
class Measured:
    """Both servers, and our rate over the bare one's."""

    bare: Server
    ours: Server
    ratio: float


def measure(
    folder: Path, requests: int = REQUESTS, on_step: Callable[[str], None] = lambda _: None
) -> Measured:
    """Start both servers below a folder of their own, and send to them in turn.

    Parameters
    ----------
    requests
        How many to send to each in a round, at least 2.
    """
    photographs = draw(folder / "photographs", PHOTOGRAPHS)
    with ExitStack() as stack:
        on_step("Starting both servers")
        targets = {"bare": _bare(stack, folder), "ours": _ours(stack, folder)}
        for target in targets.values():
            _send(target, _requests(photographs, target, WARM_UP))
        rounds: dict[str, list[Server]] = {name: [] for name in targets}
        for number in range(1, ROUNDS + 1):
            for name, target in targets.items():
                on_step(f"Round {number} of {ROUNDS}: {name}")
                rounds[name].append(_round(target, _requests(photographs, target, requests)))
    bare, ours = _median(rounds["bare"]), _median(rounds["ours"])
    return Measured(bare, ours, ours.requests_per_second / bare.requests_per_second)


def bare() -> FastAPI:
    """Build the bare application."""
    root = Path(os.environ[FOLDER]) / "originals"
    root.mkdir(parents=True, exist_ok=True)
    app = FastAPI()

    @app.post("/v1/cases")
    async def accept(request: Request) -> Response:
        image_id = str(uuid4())
        await run_in_threadpool(keep, image_id, await request.body())
        # The load generator reads the id of an image out of each answer.
        return JSONResponse({"images": [{"image_id": image_id}]}, 202)

    def keep(image_id: str, body: bytes) -> None:
        folder = root / image_id[-2:]
        folder.mkdir(exist_ok=True)
        path = folder / image_id
        path.write_bytes(body)
        for target in (path, folder):
            descriptor = os.open(target, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    return app


@dataclass(frozen=True)
class _Target:
    """A server that listens, the key it wants, and its processes by name."""

    url: str
    key: str
    pids: dict[str, int]


def _bare(stack: ExitStack, folder: Path) -> _Target:
    env = os.environ | {FOLDER: str(folder / "bare")}
    url, server = _serve(stack, "bench.acceptance:bare", folder / "bare.log", env)
    return _Target(url, "unread", {"server": server})


def _ours(stack: ExitStack, folder: Path) -> _Target:
    postgres, redis = EmbeddedPostgres(folder / "postgres"), EmbeddedRedis(folder / "redis")
    stack.callback(postgres.stop)
    stack.callback(redis.stop)
    (folder / "store").mkdir()
    settings = get_settings().model_copy(
        update={
            "database_url": postgres.start(),
            "redis_url": SecretStr(redis.start()),
            "store_url": (folder / "store").as_uri(),
            "secret_key": SecretStr("a secret of the bench, long enough"),
        }
    )
    upgrade_database(settings)
    engine = make_engine(settings)
    with make_sessions(engine).begin() as session:
        secret = settings.secret_key.get_secret_value()
        _, key = add_clinic(session, name="Bench", secret_key=secret)
    engine.dispose()
    env = os.environ | {
        "DERMTRIAGE_DATABASE_URL": settings.database_url,
        "DERMTRIAGE_REDIS_URL": settings.redis_url.get_secret_value(),
        "DERMTRIAGE_STORE_URL": settings.store_url,
        "DERMTRIAGE_SECRET_KEY": secret,
    }
    url, server = _serve(stack, "dermtriage_api.app:create_app", folder / "ours.log", env)
    lock_file = folder / "postgres" / "cluster" / "postmaster.pid"
    with Redis.from_url(settings.redis_url.get_secret_value()) as client:
        queue = int(client.info("server")["process_id"])
    database = int(lock_file.read_text().partition("\n")[0])
    return _Target(url, key, {"server": server, "postgres": database, "redis": queue})


def _serve(stack: ExitStack, app: str, log: Path, env: dict[str, str]) -> tuple[str, int]:
    """Start one process of uvicorn, with the options that the stack starts the API with."""
    listener = stack.enter_context(socket.create_server((HOST, 0)))
    options = [
        *("--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "3"),
        *("--http", "dermtriage_api.server.protocol:BoundedHttpProtocol", "--ws", "none"),
    ]
    child = ChildProcess(
        [
            *(sys.executable, "-m", "uvicorn", "--factory", app),
            *("--fd", str(listener.fileno())),
            *options,
        ],
        log=log,
        env=env,
        keep_open=[listener.fileno()],
    )
    stack.callback(child.stop)
    url = f"http://{HOST}:{listener.getsockname()[1]}"
    deadline = time.monotonic() + START_TIMEOUT
    while not _answers(url):
        if child.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{app} did not come up: {tail(log)}")
        time.sleep(0.1)
    return url, child.pid


def _answers(url: str) -> bool:
    try:
        httpx.get(url, timeout=5, trust_env=False)
    except httpx.TransportError:
        return False
    return True


def _requests(photographs: Sequence[Path], target: _Target, count: int) -> list[load.Request]:
    return [
        load.build(photographs[number % len(photographs)], target.key) for number in range(count)
    ]


def _round(target: _Target, requests: Sequence[load.Request]) -> Server:
    before, start = _cpu_seconds(target), time.perf_counter()
    latencies = _send(target, requests)
    elapsed, after = time.perf_counter() - start, _cpu_seconds(target)
    return Server(
        requests_per_second=len(requests) / elapsed,
        p99_seconds=quantiles(latencies, n=100, method="inclusive")[-1],
        cpu_ms={name: 1000 * (after[name] - before[name]) / len(requests) for name in after},
    )


def _send(target: _Target, requests: Sequence[load.Request]) -> list[float]:
    """Send all requests over all connections, and return the seconds that each took."""
    remaining: Iterator[load.Request] = iter(requests)
    latencies: list[float] = []

    def send() -> None:
        connection = load.connect(target.url)
        # Advancing one list's iterator is atomic, and so is appending: the senders share both.
        for request in remaining:
            start = time.perf_counter()
            load.post(connection, request)
            latencies.append(time.perf_counter() - start)
        connection.close()

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for sender in [pool.submit(send) for _ in range(CONNECTIONS)]:
            sender.result()
    return latencies


def _cpu_seconds(target: _Target) -> dict[str, float]:
    seconds = {name: _cpu_seconds_of(pid) for name, pid in target.pids.items()}
    return seconds | {"senders": time.process_time()}


def _cpu_seconds_of(pid: int) -> float:
    """Return the CPU seconds of a process and its children, as Linux counts them."""
    # The name of the process, in brackets, may contain spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(_cpu_seconds_of(int(child)) for child in children)


def _median(rounds: Sequence[Server]) -> Server:
    return Server(
        requests_per_second=median(one.requests_per_second for one in rounds),
        p99_seconds=median(one.p99_seconds for one in rounds),
        cpu_ms={
            name: round(median(one.cpu_ms[name] for one in rounds), 3) for name in rounds[0].cpu_ms
        },
    )


def main() -> None:
    requests = int(sys.argv[1]) if sys.argv[1:] else REQUESTS
    with TemporaryDirectory(prefix="dermtriage-bench-") as folder:
        measured = measure(Path(folder), requests, lambda step: print(step, file=sys.stderr))
    print(json.dumps(asdict(measured)))


if __name__ == "__main__":
    main()
