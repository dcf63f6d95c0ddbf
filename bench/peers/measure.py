"""Measure the peers one after the other, and print one JSON object.

All store the same: a photograph is on the disk before its answer, and its result is in PostgreSQL.
Each runs in the layouts that may be its fastest, and its best layout counts. Its results are
compared with those of the ensemble in this process.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory

from bench import forward
from bench.peers import http_load, processes
from bench.peers.archive import create_table, read_results
from bench.peers.scoring import Scorer
from bench.peers.settings import Layout, Settings, photographs, read_seconds, warm_up
from dermtriage_cli.embedded.postgres import EmbeddedPostgres

CORES = os.cpu_count() or 1
LAYOUTS = [Layout(processes=CORES, threads=1, batch=batch) for batch in (4, 16)]
"""One process with all threads was slower for every peer."""
SERVERS = {
    "litserve": ["-m", "bench.peers.litserve_server"],
    "bentoml": ["-m", "bentoml", "serve", "bench.peers.bentoml_service:Photographs"],
    "ray_serve": ["-m", "bench.peers.ray_serve_app"],
    "celery": ["-m", "bench.peers.plain_celery"],
}
BULK = {"ray_data": ["-m", "bench.peers.ray_data"]}
PEERS = SERVERS | BULK
PACKAGES = {"ray_serve": "ray", "ray_data": "ray"}

ALONE = forward.Layout(processes=CORES, threads=1, batch=16)
"""How the ensemble alone is fastest on CPUs."""
CHECKED = 16
TOLERANCE = 1e-3
BULK_SECONDS = 1200
SENDING_SECONDS = 600


def measure(name: str, folder: Path, release: Path, count: int) -> dict[str, object]:
    """Return a peer's best images per second, the layout that gave it, and those of the others."""
    layouts = [Layout(processes=CORES, threads=1, batch=1)] if name == "celery" else LAYOUTS
    paths = photographs(folder, count)
    some = [path.read_bytes() for path in paths[:CHECKED]]
    expected = sorted(Scorer(release, CORES, CHECKED).score(some))
    rates = {}
    for layout in layouts:
        seconds = _run(name, folder, release, count, layout, expected)
        rates[str(layout)] = round(len(paths) / seconds, 2)
        print(f"{name}, {layout}: {rates[str(layout)]} images/s", file=sys.stderr, flush=True)
    best = max(rates, key=lambda layout: rates[layout])
    return {
        "images_per_second": rates[best],
        "layout": best,
        "version": version(PACKAGES.get(name, name)),
        "layouts": rates,
    }


def _run(
    name: str,
    folder: Path,
    release: Path,
    count: int,
    layout: Layout,
    expected: Sequence[float],
) -> float:
    """Return the seconds from the first photograph to the last result in PostgreSQL."""
    # The path is short because sockets are in it, whose paths have a length limit.
    with TemporaryDirectory(prefix="peer-", ignore_cleanup_errors=True) as temporary:
        scratch = Path(temporary)
        postgres = EmbeddedPostgres(scratch / "postgres")
        # SQLAlchemy names its driver in the URL, psycopg does not.
        database = postgres.start().replace("+psycopg", "", 1)
        settings = Settings(
            folder, release, count, layout, processes.free_port(), scratch, database
        )
        settings.archive.mkdir()
        create_table(database)
        log = scratch / "log.txt"
        try:
            with processes.started(_command(name, settings), _environment(settings), log) as peer:
                if name in BULK:
                    seconds = _wait_for_bulk(name, peer, settings, expected)
                else:
                    seconds = _send_all(name, peer, settings, expected)
        except Exception as error:
            error.add_note(
                f"End of the log of {name} ({layout}):\n{log.read_text(errors='replace')[-4000:]}"
            )
            raise
        finally:
            postgres.stop()
    return seconds


def _wait_for_bulk(
    name: str, peer: Popen[bytes], settings: Settings, expected: Sequence[float]
) -> float:
    if peer.wait(BULK_SECONDS):
        raise RuntimeError(f"{name} ended with {peer.returncode}")
    results = read_results(settings.database)
    if len(results) != len(settings.paths()):
        raise ValueError(f"{name} recorded {len(results)} photographs, not all of them")
    checked = [results[path.name] for path in settings.paths()[: len(expected)]]
    _check(name, checked, expected)
    return read_seconds(settings)


def _send_all(
    name: str, peer: Popen[bytes], settings: Settings, expected: Sequence[float]
) -> float:
    data = [path.read_bytes() for path in settings.paths()]
    http_load.wait_until_ready(settings.port, data[0], lambda: peer.poll() is None)
    before = _wait_for_results(settings, 1)
    # No answer says under which name a photograph is stored, so a batch is compared as a whole.
    http_load.send(settings.port, data[: len(expected)])
    found = _wait_for_results(settings, len(before) + len(expected))
    _check(name, [found[photograph] for photograph in found.keys() - before.keys()], expected)
    http_load.send(settings.port, warm_up(data))
    known = len(_wait_for_results(settings, len(found) + len(warm_up(data))))
    start = time.perf_counter()
    http_load.send(settings.port, data)
    _wait_for_results(settings, known + len(data))
    seconds = time.perf_counter() - start
    kept = sum(path.stat().st_size > 0 for path in settings.archive.iterdir())
    if kept < known + len(data):
        raise ValueError(f"{name} kept {kept} photographs of {known + len(data)}")
    return seconds


def _wait_for_results(settings: Settings, count: int) -> dict[str, float]:
    deadline = time.monotonic() + SENDING_SECONDS
    while len(results := read_results(settings.database)) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(results)} results of {count} after {SENDING_SECONDS} s")
        time.sleep(0.1)
    return results


def _command(name: str, settings: Settings) -> list[str]:
    if name == "bentoml":
        return [*PEERS[name], "--host", "127.0.0.1", "--port", str(settings.port)]
    return PEERS[name]


def _environment(settings: Settings) -> dict[str, str]:
    return {
        **settings.environment(),
        "OMP_NUM_THREADS": str(settings.layout.threads),
        # Files that a peer writes to the home folder are removed with the scratch folder.
        "HOME": str(settings.scratch),
        "TMPDIR": str(settings.scratch),
        "BENTOML_DO_NOT_TRACK": "True",
        "RAY_USAGE_STATS_ENABLED": "0",
        # Makes Ray's own servers listen only on 127.0.0.1.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # By default Ray's workers have a lower priority than other processes.
        "RAY_worker_niceness": "0",
        # A busy machine takes longer to start the proxy than Ray allows by default.
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "120",
    }


def _check(name: str, scores: Sequence[float], expected: Sequence[float]) -> None:
    for score, wanted in zip(sorted(scores), sorted(expected), strict=True):
        # Written so that NaN fails as well.
        if not abs(score - wanted) <= TOLERANCE:
            raise ValueError(f"{name} recorded {score} where the ensemble gives {wanted}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("folder", type=Path, help="of photographs, *.jpg")
    parser.add_argument("release", type=Path, help="folder of the release")
    parser.add_argument("--count", type=int, default=500, help="photographs at most")
    parser.add_argument("--only", choices=PEERS, action="append", help="this peer; may be repeated")
    options = parser.parse_args()
    folder, release = options.folder.resolve(), options.release.resolve()
    processes.become_subreaper()
    results = {}
    # The machine's speed drifts by the minute, so the forward limit is measured before and after
    # each peer.
    before = forward.measure(release, ALONE)
    for name in options.only or PEERS:
        found = measure(name, folder, release, options.count)
        after = forward.measure(release, ALONE)
        results[name] = {**found, "limit": asdict(forward.between(before, after))}
        before = after
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
