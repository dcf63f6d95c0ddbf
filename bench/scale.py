"""Calculate what a night of rescoring needs at any size: ``python -m bench.scale``.

The cost of one image is measured once, by ``python -m bench.scale --measure``, which writes
bench/scale.json. The speed of scoring comes from bench/results.json or from an option. The rest is
arithmetic, which docs/scale.md explains.
"""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dermtriage.core.settings import get_settings

RESULTS = Path(__file__).parent / "results.json"
MEASURED = Path(__file__).parent / "scale.json"

SIZES = (100_000, 1_000_000, 10_000_000, 100_000_000)
RATES = ("rescored_images_per_second", "uploads_images_per_second")
"""Keys of bench/results.json; the first that exists is used."""

PAGE = 1000
"""Objects that an S3 store lists per request; the nightly sweep lists all originals."""

SPARE_CONNECTIONS = 2
"""Connections of a worker besides one per thread: for its heartbeat and its search for work."""

OTHER_CONNECTIONS = 2 * 8 + 6
"""Connections of two API processes with full pools, and of upkeep."""


@dataclass(frozen=True)
class Taken:
    """The cost of one image: bytes of storage and transfer, seconds of one core.

    Attributes
    ----------
    row_bytes
        Of an assessment with its share of the indexes.
    wal_bytes, write_seconds
        Write-ahead log and CPU time of the database for one rescored image, written as a worker
        does: its assessment, the new version of its row, and its share of the batch.
    record_seconds
        CPU time of the worker to write it.
    copy_wal_bytes, copy_seconds
        The same for an assessment alone, written by COPY through a staging table, one chunk at a
        time.
    plan_seconds
        CPU time of the database to plan a run in one statement, per image.
    drawn_bytes, drawn_rendition_bytes
        A photograph of 600x450 pixels, and its rendition.
    phone_bytes, phone_rendition_bytes
        One of 12 megapixels, and its rendition.
    drawn_decode_seconds, phone_decode_seconds
        CPU time of a worker from the bytes of the rendition to the ensemble's input.
    """

    row_bytes: float
    wal_bytes: float
    write_seconds: float
    record_seconds: float
    copy_wal_bytes: float
    copy_seconds: float
    plan_seconds: float
    drawn_bytes: float
    drawn_rendition_bytes: float
    phone_bytes: float
    phone_rendition_bytes: float
    drawn_decode_seconds: float
    phone_decode_seconds: float


@dataclass(frozen=True)
class Pace:
    """How fast images are scored, and on what hardware.

    Attributes
    ----------
    images_per_second
        Of one worker on CPUs; `gpu_images_per_second` is that of one on a GPU, if given.
    cores
        Of that worker on CPUs.
    """

    images_per_second: float
    cores: int
    gpu_images_per_second: float | None = None


@dataclass(frozen=True)
class Night:
    """What a night with this many images needs; rates are averages over the night.

    Messages and connections are those of workers on CPUs; GPUs are fewer.
    """

    images: int
    images_per_second: float
    cpu_workers: int
    cpu_cores: int
    gpus: int | None
    drawn_decoding_cores: float
    phone_decoding_cores: float
    chunks: int
    messages: int
    connections: int
    row_bytes: float
    wal_bytes: float
    wal_bytes_per_second: float
    recording_cores: float
    writing_cores: float
    copying_cores: float
    planning_seconds: float
    sweep_lists: int
    drawn_bytes_per_second: float
    drawn_rendition_bytes_per_second: float
    phone_bytes_per_second: float
    phone_rendition_bytes_per_second: float


def plan(images: int, taken: Taken, pace: Pace, *, hours: float, chunk: int, threads: int) -> Night:
    """Calculate what a night needs.

    Parameters
    ----------
    hours
        Length of the night.
    chunk
        Images per chunk.
    threads
        Scoring threads per worker.
    """
    seconds = hours * 3600
    rate = images / seconds
    cpu_workers = ceil(rate / pace.images_per_second)
    gpus = ceil(rate / pace.gpu_images_per_second) if pace.gpu_images_per_second else None
    return Night(
        images=images,
        images_per_second=rate,
        cpu_workers=cpu_workers,
        cpu_cores=cpu_workers * pace.cores,
        gpus=gpus,
        drawn_decoding_cores=rate * taken.drawn_decode_seconds,
        phone_decoding_cores=rate * taken.phone_decode_seconds,
        chunks=ceil(images / chunk),
        # One message wakes a thread, which then continues until no chunk is left.
        messages=cpu_workers * threads,
        connections=cpu_workers * (threads + SPARE_CONNECTIONS) + OTHER_CONNECTIONS,
        row_bytes=images * taken.row_bytes,
        wal_bytes=images * taken.wal_bytes,
        wal_bytes_per_second=rate * taken.wal_bytes,
        recording_cores=rate * taken.record_seconds,
        writing_cores=rate * taken.write_seconds,
        copying_cores=rate * taken.copy_seconds,
        planning_seconds=images * taken.plan_seconds,
        sweep_lists=ceil(images / PAGE),
        drawn_bytes_per_second=rate * taken.drawn_bytes,
        drawn_rendition_bytes_per_second=rate * taken.drawn_rendition_bytes,
        phone_bytes_per_second=rate * taken.phone_bytes,
        phone_rendition_bytes_per_second=rate * taken.phone_rendition_bytes,
    )


def si(value: float, unit: str = "") -> str:
    """Write a number with two or three digits and a decimal prefix: ``1.2 GB``."""
    if 0 < value < 0.01:
        return f"< 0.01 {unit}".strip()
    prefixes = ("", "k", "M", "G", "T", "P", "E")
    power = 0
    # A number that would be rounded to four digits gets the next prefix.
    while round(value, 0 if value >= 99.5 else 1) >= 1000 and power < len(prefixes) - 1:
        value, power = value / 1000, power + 1
    digits = 0 if value >= 9.95 or value == int(value) else 1 if value >= 0.95 else 2
    return f"{value:.{digits}f} {prefixes[power]}{unit}".strip()


def table(nights: Sequence[Night]) -> str:
    """Return a Markdown table with one column per night."""
    rows: list[tuple[str, list[str]]] = [
        ("images per night", [f"{night.images:,}" for night in nights]),
        ("images/s", [si(night.images_per_second) for night in nights]),
        ("workers on CPUs", [f"{night.cpu_workers:,}" for night in nights]),
        ("their cores", [f"{night.cpu_cores:,}" for night in nights]),
        ("or GPUs", ["-" if n.gpus is None else f"{n.gpus:,}" for n in nights]),
        ("cores to decode for these, 600x450", [si(n.drawn_decoding_cores) for n in nights]),
        ("cores to decode for these, 12 MP", [si(n.phone_decoding_cores) for n in nights]),
        ("chunks", [f"{night.chunks:,}" for night in nights]),
        ("messages at once", [f"{night.messages:,}" for night in nights]),
        ("connections to PostgreSQL", [f"{night.connections:,}" for night in nights]),
        ("new assessments", [si(night.row_bytes, "B") for night in nights]),
        ("write-ahead log", [si(night.wal_bytes, "B") for night in nights]),
        ("write-ahead log per second", [si(n.wal_bytes_per_second, "B/s") for n in nights]),
        ("workers' cores to record", [si(night.recording_cores) for night in nights]),
        ("PostgreSQL's cores to record", [si(night.writing_cores) for night in nights]),
        ("assessments alone, by COPY", [si(night.copying_cores) for night in nights]),
        ("planning the run", [f"{night.planning_seconds:,.1f} s" for night in nights]),
        ("store: requests/s", [si(night.images_per_second) for night in nights]),
        ("store: list requests of the sweep", [f"{night.sweep_lists:,}" for night in nights]),
        ("renditions of 600x450", [si(n.drawn_rendition_bytes_per_second, "B/s") for n in nights]),
        ("their originals", [si(n.drawn_bytes_per_second, "B/s") for n in nights]),
        ("renditions of 12 MP", [si(n.phone_rendition_bytes_per_second, "B/s") for n in nights]),
        ("their originals", [si(n.phone_bytes_per_second, "B/s") for n in nights]),
    ]
    (head, sizes), *body = rows
    lines = [(head, sizes), ("---", ["---:"] * len(sizes)), *body]
    return "\n".join(f"| {' | '.join([name, *cells])} |" for name, cells in lines)


def pace_of(
    results: Mapping[str, Any],
    *,
    rate: float | None = None,
    cores: int | None = None,
    gpu_rate: float | None = None,
) -> Pace:
    """Return the pace in bench/results.json, with the given values in place of the measured ones.

    Raises
    ------
    SystemExit
        If neither has a rate.
    """
    chosen = rate or next((float(results[key]) for key in RATES if key in results), None)
    if chosen is None:
        raise SystemExit(f"{RESULTS.name} has no rate: run `make bench`, or give --rate.")
    found = re.search(r"(\d+) cores", results.get("machine", ""))
    return Pace(
        chosen,
        cores or int(found[1] if found else 1),
        gpu_rate,
    )


def measure(rows: int) -> Taken:
    """Measure the cost of one image, with `rows` assessments in a database of its own."""
    # Imported here, because only the measurement needs torch and a database.
    from bench import scale_database, scale_pictures  # noqa: PLC0415

    pictures = scale_pictures.measure(drawn=20, phones=3)
    settings = get_settings()
    prediction = scale_pictures.prediction(settings)
    with (
        TemporaryDirectory(prefix="dermtriage-scale-") as folder,
        scale_database.database(Path(folder)) as database,
    ):
        written = scale_database.measure(database, settings, prediction, rows)
    return Taken(**pictures, **written)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    add = parser.add_argument
    add("--images", type=int, nargs="+", default=SIZES, help="images per night")
    add("--hours", type=float, default=8.0, help="length of the night")
    add("--rate", type=float, help="images/s of a worker on CPUs, in place of the measured one")
    add("--cores", type=int, help="that worker's cores")
    add("--gpu-rate", type=float, help="images/s of a worker on a GPU")
    add("--chunk", type=int, default=get_settings().rescore_chunk, help="images per chunk")
    add("--measure", action="store_true", help=f"measure, and write {MEASURED.name}")
    add("--rows", type=int, default=200_000, help="number of assessments to measure with")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    if arguments.measure:
        figures = asdict(measure(arguments.rows)).items()
        # Four digits: the others differ from run to run.
        rounded = {name: float(f"{value:.4g}") for name, value in figures}
        MEASURED.write_text(json.dumps(rounded, indent=2) + "\n")
    taken = Taken(**json.loads(MEASURED.read_text()))
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    pace = pace_of(results, rate=arguments.rate, cores=arguments.cores, gpu_rate=arguments.gpu_rate)
    threads = get_settings().scoring_threads
    nights = [
        plan(images, taken, pace, hours=arguments.hours, chunk=arguments.chunk, threads=threads)
        for images in arguments.images
    ]
    gpu = pace.gpu_images_per_second
    print(
        f"{arguments.hours:g} hours; {pace.images_per_second:g} images/s on {pace.cores} cores;"
        f" {f'{gpu:g} images/s on a GPU' if gpu else 'no rate for a GPU'};"
        f" {arguments.chunk} images per chunk\n"
    )
    print(table(nights))


if __name__ == "__main__":
    main()
