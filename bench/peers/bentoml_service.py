"""BentoML: ``bentoml serve bench.peers.bentoml_service:Photographs``."""

import bentoml
from starlette.requests import Request

from bench.peers import settings
from bench.peers.http_load import PATH
from bench.peers.scoring import Scorer

_told = settings.read()


class Posted(bentoml.IODescriptor):
    """The body of a request as it is; the usual form with files would have to be parsed."""

    photographs: list[bytes]

    @classmethod
    async def from_http_request(cls, request: Request, serde: object) -> "Posted":  # noqa: ARG003
        """Take the body as the one photograph of a batch."""
        return cls.model_construct(photographs=[await request.body()])


@bentoml.service(
    workers=_told.layout.processes,
    traffic={"timeout": 600},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Photographs:
    """Bytes in, a list of one p_severe out."""

    def __init__(self) -> None:
        self._scorer = Scorer(_told.release, _told.layout.threads, _told.layout.batch)

    # A photograph that is expected to take longer than the latency is refused.
    @bentoml.api(
        route=PATH,
        input_spec=Posted,
        batchable=True,
        max_batch_size=_told.layout.batch,
        max_latency_ms=600_000,
    )
    def score(self, photographs: list[bytes]) -> list[float]:
        """Decode and score a batch."""
        return self._scorer.score(photographs)
