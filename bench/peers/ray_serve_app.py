"""Ray Serve: one replica per copy of the ensemble, behind Ray's proxy."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ray
from ray import serve
from ray.serve.config import HTTPOptions
from ray.serve.schema import LoggingConfig
from starlette.requests import Request

from bench.peers import settings
from bench.peers.archive import write_photograph
from bench.peers.http_load import CONNECTIONS, PATH
from bench.peers.scoring import RecordingScorer

WAIT_SECONDS = 0.005
OBJECT_STORE_BYTES = 100 * 1024 * 1024


@serve.deployment(max_ongoing_requests=CONNECTIONS)
class Photographs:
    """Takes a photograph, answers its p_severe; both are stored before the answer."""

    def __init__(self, chosen: settings.Settings) -> None:
        self._archive = chosen.archive
        # The event loop continues to accept requests while a batch is scored.
        self._one_thread = ThreadPoolExecutor(1)
        self._scorer = self._one_thread.submit(RecordingScorer, chosen).result()
        self._score.set_max_batch_size(chosen.layout.batch)
        self._score.set_batch_wait_timeout_s(WAIT_SECONDS)

    @serve.batch
    async def _score(self, paths: list[Path]) -> list[float]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._one_thread, self._scorer.score, paths)

    async def __call__(self, request: Request) -> float:
        """Store the body of one request, and score it in a batch with others."""
        path = await asyncio.to_thread(write_photograph, self._archive, await request.body())
        return await self._score(path)


def main() -> None:
    chosen = settings.read()
    ray.init(
        num_cpus=chosen.layout.processes,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        _temp_dir=str(chosen.scratch),
    )
    quiet = LoggingConfig(enable_access_log=False, log_level="WARNING")
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=chosen.port), logging_config=quiet)
    replicas = Photographs.options(num_replicas=chosen.layout.processes, logging_config=quiet)
    serve.run(replicas.bind(chosen), route_prefix=PATH)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
