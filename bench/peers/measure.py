"""Measure the peers one after the other, and print one JSON object.

Each runs in the layouts that may be its fastest, and its best counts. Its answers are compared
with those of the ensemble in this process.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import forward
from bench.peers import http_load, processes
from bench.peers.scoring import Scorer
from bench.peers.settings import Layout, Settings, photographs, read_result, warm_up

CORES = os.cpu_count() or 1
LAYOUTS = [
    Layout(processes=held, threads=CORES // held, batch=batch)
    for held in (1, CORES)
    for batch in (4, 16)
]
SERVERS = {
    "litserve": ["-m", "bench.peers.litserve_server"],
    "bentoml": ["-m", "bentoml", "serve", "bench.peers.bentoml_service:Photographs"],
    "ray_serve": ["-m", "bench.peers.ray_serve_app"],
}
BULK = {
    "ray_data": ["-m", "bench.peers.ray_data"],
    "celery": ["-m", "bench.peers.plain_celery"],
}
PEERS = SERVERS | BULK
PACKAGES = {"ray_serve": "ray", "ray_data": "ray"}

ALONE = forward.Layout(processes=CORES, threads=1, batch=16)
"""How the ensemble alone is fastest on CPUs."""
CHECKED = 16
TOLERANCE = 1e-3
BULK_SECONDS = 1200


def measure(name: str, folder: Path, release: Path, count: int) -> dict[str, object]:
    """Return a peer's best images a second, the layout that gave it, and those of the others."""
    layouts = [Layout(processes=CORES, threads=1, batch=1)] if name == "celery" else LAYOUTS
    expected = Scorer(release, CORES, CHECKED).score(
        [path.read_bytes() for path in photographs(folder, min(count, CHECKED))]
    )
    rates = {}
    for layout in layouts:
        seconds, scores = _run(name, folder, release, count, layout)
        if len(scores) != len(photographs(folder, count)):
            raise ValueError(f"{name} answered {len(scores)} photographs, not all of them")
        _check(name, scores, expected)
        rates[str(layout)] = round(len(scores) / seconds, 2)
        print(f"{name}, {layout}: {rates[str(layout)]} images/s", file=sys.stderr, flush=True)
    best = max(rates, key=lambda layout: rates[layout])
    return {
        "images_per_second": rates[best],
        "layout": best,
        "version": version(PACKAGES.get(name, name)),
        "layouts": rates,
    }


def _run(
    name: str, folder: Path, release: Path, count: int, layout: Layout
) -> tuple[float, list[float]]:
    # The path is short because sockets lie in it, whose names may not be long.
    with TemporaryDirectory(prefix="peer-", ignore_cleanup_errors=True) as temporary:
        scratch = Path(temporary)
        told = Settings(folder, release, count, layout, processes.free_port(), scratch)
        log = scratch / "log.txt"
        try:
            with processes.started(_command(name, told), _environment(told), log) as process:
                if name in BULK:
                    if process.wait(BULK_SECONDS):
                        raise RuntimeError(f"{name} ended with {process.returncode}")
                    return read_result(told)
                data = [path.read_bytes() for path in told.paths()]
                http_load.wait_until_ready(told.port, data[0], lambda: process.poll() is None)
                http_load.score(told.port, warm_up(data))
                return http_load.score(told.port, data)
        except Exception as error:
            error.add_note(f"{name} ({layout}) said:\n{log.read_text(errors='replace')[-4000:]}")
            raise


def _command(name: str, told: Settings) -> list[str]:
    if name == "bentoml":
        return [*PEERS[name], "--host", "127.0.0.1", "--port", str(told.port)]
    return PEERS[name]


def _environment(told: Settings) -> dict[str, str]:
    return {
        **told.environment(),
        "OMP_NUM_THREADS": str(told.layout.threads),
        # What a peer leaves in a home folder, such as a key of its own, goes when it ends.
        "HOME": str(told.scratch),
        "TMPDIR": str(told.scratch),
        "BENTOML_DO_NOT_TRACK": "True",
        "RAY_USAGE_STATS_ENABLED": "0",
        # Makes Ray's own servers listen on 127.0.0.1 alone.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # By default Ray's workers yield to everything else on the machine.
        "RAY_worker_niceness": "0",
        # A machine that is busy elsewhere takes longer to start the proxy than Ray allows.
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "120",
    }


def _check(name: str, scores: Sequence[float], expected: Sequence[float]) -> None:
    for index, (score, wanted) in enumerate(zip(scores, expected, strict=False)):
        # Written so that what is not a number is wrong as well.
        if not abs(score - wanted) <= TOLERANCE:
            raise ValueError(
                f"{name} says {score} of photograph {index}, where the ensemble says {wanted}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("folder", type=Path, help="of photographs, *.jpg")
    parser.add_argument("release", type=Path, help="folder of the release")
    parser.add_argument("--count", type=int, default=500, help="photographs at most")
    parser.add_argument("--only", choices=PEERS, action="append", help="this peer; may be repeated")
    options = parser.parse_args()
    folder, release = options.folder.resolve(), options.release.resolve()
    processes.take_charge()
    results = {}
    # The machine's speed drifts by the minute, so each peer stands between two measurements of
    # what the ensemble alone would reach.
    before = forward.measure(release, ALONE)
    for name in options.only or PEERS:
        found = measure(name, folder, release, options.count)
        after = forward.measure(release, ALONE)
        results[name] = {**found, "limit": asdict(forward.between(before, after))}
        before = after
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
