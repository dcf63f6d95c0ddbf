"""LitServe: one server of HTTP, and a process for each copy of the ensemble."""

from typing import Annotated

import litserve
from fastapi import Body

from bench.peers import settings
from bench.peers.http_load import PATH
from bench.peers.scoring import Scorer

WAIT_SECONDS = 0.005


class Photographs(litserve.LitAPI):
    """Bytes in, a list of one p_severe out."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Load the ensemble, which chooses its device itself."""
        told = settings.read()
        self._scorer = Scorer(told.release, told.layout.threads, told.layout.batch)

    def decode_request(self, request: Annotated[bytes, Body(media_type="image/jpeg")]) -> bytes:
        """Return the body as it came."""
        return request

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        """Return a list as it is, where LitServe would stack tensors."""
        return inputs

    def predict(self, x: list[bytes]) -> list[float]:
        """Decode and score a batch."""
        return self._scorer.score(x)

    def unbatch(self, output: list[float]) -> list[float]:
        """Return a list as it is."""
        return output

    def encode_response(self, output: float) -> list[float]:
        """Return what becomes the body of one answer."""
        return [output]


def main() -> None:
    told = settings.read()
    api = Photographs(max_batch_size=told.layout.batch, batch_timeout=WAIT_SECONDS, api_path=PATH)
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=told.layout.processes, timeout=False
    )
    # One server of HTTP is enough for some tens of requests a second, and takes less of the cores.
    server.run(
        host="127.0.0.1",
        port=told.port,
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
