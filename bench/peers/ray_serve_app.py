"""Ray Serve: a replica for each copy of the ensemble, behind Ray's proxy."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import ray
from ray import serve
from ray.serve.config import HTTPOptions
from ray.serve.schema import LoggingConfig
from starlette.requests import Request

from bench.peers import settings
from bench.peers.http_load import CONNECTIONS, PATH
from bench.peers.scoring import Scorer

WAIT_SECONDS = 0.005
OBJECT_STORE_BYTES = 100 * 1024 * 1024


@serve.deployment(max_ongoing_requests=CONNECTIONS)
class Photographs:
    """Bytes in, a list of one p_severe out."""

    def __init__(self, told: settings.Settings) -> None:
        # The event loop goes on taking requests in while a batch is scored.
        self._one_thread = ThreadPoolExecutor(1)
        load = self._one_thread.submit(Scorer, told.release, told.layout.threads, told.layout.batch)
        self._scorer = load.result()
        self._score.set_max_batch_size(told.layout.batch)
        self._score.set_batch_wait_timeout_s(WAIT_SECONDS)

    @serve.batch
    async def _score(self, photographs: list[bytes]) -> list[float]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._one_thread, self._scorer.score, photographs)

    async def __call__(self, request: Request) -> list[float]:
        """Score the body of one request, in a batch with others."""
        return [await self._score(await request.body())]


def main() -> None:
    told = settings.read()
    ray.init(
        num_cpus=told.layout.processes,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        _temp_dir=str(told.scratch),
    )
    quiet = LoggingConfig(enable_access_log=False, log_level="WARNING")
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=told.port), logging_config=quiet)
    replicas = Photographs.options(num_replicas=told.layout.processes, logging_config=quiet)
    serve.run(replicas.bind(told), route_prefix=PATH)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
