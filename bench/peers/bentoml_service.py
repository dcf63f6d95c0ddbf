"""BentoML: ``bentoml serve bench.peers.bentoml_service:Photographs``."""

import asyncio
from pathlib import Path

import bentoml
from starlette.requests import Request

from bench.peers import settings
from bench.peers.archive import write_photograph
from bench.peers.http_load import PATH
from bench.peers.scoring import RecordingScorer

_settings = settings.read()


class Posted(bentoml.IODescriptor):
    """The body of a request, stored as a file; a multipart form would have to be parsed."""

    photographs: list[Path]

    @classmethod
    async def from_http_request(cls, request: Request, serde: object) -> "Posted":  # noqa: ARG003
        """Store the body, as the only photograph of a batch."""
        body = await request.body()
        path = await asyncio.to_thread(write_photograph, _settings.archive, body)
        return cls.model_construct(photographs=[path])


@bentoml.service(
    workers=_settings.layout.processes,
    traffic={"timeout": 600},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Photographs:
    """Takes a photograph, answers a list of its p_severe; both are stored before the answer."""

    def __init__(self) -> None:
        self._scorer = RecordingScorer(_settings)

    # A photograph that is expected to take longer than the maximum latency is refused.
    @bentoml.api(
        route=PATH,
        input_spec=Posted,
        batchable=True,
        max_batch_size=_settings.layout.batch,
        max_latency_ms=600_000,
    )
    def score(self, photographs: list[Path]) -> list[float]:
        """Score and record a batch."""
        return self._scorer.score(photographs)
