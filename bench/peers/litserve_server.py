"""LitServe: one HTTP server, and one process per copy of the ensemble."""

from pathlib import Path
from typing import Annotated

import litserve
from fastapi import Body

from bench.peers import settings
from bench.peers.archive import write_photograph
from bench.peers.http_load import PATH
from bench.peers.scoring import RecordingScorer

WAIT_SECONDS = 0.005


class Photographs(litserve.LitAPI):
    """Takes a photograph, answers its p_severe; both are stored before the answer."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Load the ensemble, which chooses its device itself."""
        self._settings = settings.read()
        self._scorer = RecordingScorer(self._settings)

    def decode_request(self, request: Annotated[bytes, Body(media_type="image/jpeg")]) -> Path:
        """Store the body."""
        return write_photograph(self._settings.archive, request)

    def batch(self, inputs: list[Path]) -> list[Path]:
        """Return a list as it is, where LitServe would stack tensors."""
        return inputs

    def predict(self, x: list[Path]) -> list[float]:
        """Score and record a batch."""
        return self._scorer.score(x)

    def unbatch(self, output: list[float]) -> list[float]:
        """Return a list as it is."""
        return output

    def encode_response(self, output: float) -> float:
        """Return the body of one answer."""
        return output


def main() -> None:
    chosen = settings.read()
    api = Photographs(max_batch_size=chosen.layout.batch, batch_timeout=WAIT_SECONDS, api_path=PATH)
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=chosen.layout.processes, timeout=False
    )
    # One HTTP server is enough for some tens of requests per second, and leaves the cores free.
    server.run(
        host="127.0.0.1",
        port=chosen.port,
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
