"""The arithmetic of a night on paper, and that its measurement measures."""

import json
import re
from dataclasses import asdict, fields, replace
from math import isclose

import pytest
from bench import scale, scale_database
from bench.scale import Night, Pace, Taken, pace_of, plan, si, table
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from dermtriage.core.enums import CLASSES
from dermtriage.core.settings import Settings
from dermtriage.database.engine import make_engine

TAKEN = Taken(
    row_bytes=1000,
    wal_bytes=2000,
    write_seconds=0.001,
    record_seconds=0.0005,
    copy_wal_bytes=1500,
    copy_seconds=0.0001,
    plan_seconds=0.00001,
    drawn_bytes=30_000,
    drawn_rendition_bytes=50_000,
    phone_bytes=4_000_000,
    phone_rendition_bytes=200_000,
    drawn_decode_seconds=0.002,
    phone_decode_seconds=0.005,
)
PACE = Pace(images_per_second=100, cores=2, gpu_images_per_second=1000)
SIZES = st.integers(1, 10**10)
RATES = st.floats(0.1, 1e6)


def night(images: int, pace: Pace = PACE, hours: float = 8) -> Night:
    return plan(images, TAKEN, pace, hours=hours, chunk=512, threads=2)


def test_a_night_that_was_worked_out_by_hand() -> None:
    # 2,880,000 images in 28,800 seconds are 100 a second.
    assert asdict(night(2_880_000)) == pytest.approx(
        {
            "images": 2_880_000,
            "images_per_second": 100,
            "cpu_workers": 1,
            "cpu_cores": 2,
            "gpus": 1,
            "drawn_decoding_cores": 0.2,
            "phone_decoding_cores": 0.5,
            "chunks": 5625,
            "messages": 2,
            "connections": 26,
            "row_bytes": 2.88e9,
            "wal_bytes": 5.76e9,
            "wal_bytes_per_second": 200_000,
            "recording_cores": 0.05,
            "writing_cores": 0.1,
            "copying_cores": 0.01,
            "planning_seconds": 28.8,
            "sweep_lists": 2880,
            "drawn_bytes_per_second": 3e6,
            "drawn_rendition_bytes_per_second": 5e6,
            "phone_bytes_per_second": 4e8,
            "phone_rendition_bytes_per_second": 2e7,
        }
    )


def test_a_night_of_a_hundred_million() -> None:
    found = night(100_000_000)
    assert found.images_per_second == pytest.approx(3472, abs=1)
    assert (found.cpu_workers, found.cpu_cores, found.gpus) == (35, 70, 4)
    # Chunks are bounds: there are as many as 512 go into the images, and messages far fewer.
    assert found.chunks == 195_313
    assert found.messages == 70


def test_without_a_rate_of_a_gpu_no_gpus_are_counted() -> None:
    found = night(10**8, replace(PACE, gpu_images_per_second=None))
    assert found.gpus is None
    assert "| or GPUs | - |" in table([found])


@given(SIZES, SIZES)
def test_more_images_never_need_less(one: int, other: int) -> None:
    fewer, more = asdict(night(min(one, other))), asdict(night(max(one, other)))
    assert all(fewer[field] <= more[field] for field in fewer)


@given(SIZES, RATES, st.floats(0.5, 24))
def test_the_workers_are_enough_and_none_is_idle(images: int, rate: float, hours: float) -> None:
    found = night(images, Pace(rate, 2), hours)
    seconds = hours * 3600
    assert found.cpu_workers * rate * seconds >= images * (1 - 1e-9)
    assert (found.cpu_workers - 1) * rate * seconds <= images * (1 + 1e-9)


@given(SIZES, st.floats(0.5, 12))
def test_rates_times_the_night_are_the_night(images: int, hours: float) -> None:
    found = night(images, hours=hours)
    assert isclose(found.images_per_second * hours * 3600, images)
    assert isclose(found.wal_bytes_per_second * hours * 3600, found.wal_bytes)
    # Twice the time halves what is needed a second, and changes nothing of what is written.
    longer = night(images, hours=2 * hours)
    assert isclose(2 * longer.writing_cores, found.writing_cores)
    assert (longer.row_bytes, longer.chunks) == (found.row_bytes, found.chunks)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0 B"),
        (0.009, "< 0.01 B"),
        (0.25, "0.25 B"),
        (3.47, "3.5 B"),
        (347, "347 B"),
        (999.4, "999 B"),
        (999.6, "1.0 kB"),
        (1200, "1.2 kB"),
        (48_692, "49 kB"),
        (99_960, "100 kB"),
        (2.5e9, "2.5 GB"),
        (1e14, "100 TB"),
    ],
)
def test_numbers_are_written_short(value: float, written: str) -> None:
    assert si(value, "B") == written


@given(st.floats(0.1, 1e15))
def test_what_is_written_short_is_close(value: float) -> None:
    match = re.fullmatch(r"([\d.]+) ([kMGTP]?)B", si(value, "B"))
    assert match
    read = float(match[1]) * 1000 ** " kMGTP".index(match[2] or " ")
    assert len(match[1].replace(".", "")) <= 3
    assert isclose(read, value, rel_tol=0.06)


def test_a_table_has_a_column_a_night() -> None:
    lines = table([night(size) for size in scale.SIZES]).splitlines()
    assert {line.count("|") for line in lines} == {len(scale.SIZES) + 2}
    assert "100,000,000" in lines[0]


def test_the_pace_is_that_of_bulk_where_it_was_measured() -> None:
    results = {"uploads_images_per_second": 30.0, "machine": "x86_64, 4 cores"}
    assert pace_of(results) == Pace(30.0, 4)
    results |= {"rescored_images_per_second": 50.0}
    assert pace_of(results) == Pace(50.0, 4)
    assert pace_of(results, rate=10.0, cores=1, gpu_rate=20.0) == Pace(10.0, 1, 20.0)
    assert pace_of({}, rate=10.0) == Pace(10.0, 1)
    with pytest.raises(SystemExit, match="--rate"):
        pace_of({})


def test_what_was_measured_can_be_read() -> None:
    taken = Taken(**json.loads(scale.MEASURED.read_text()))
    assert all(getattr(taken, field.name) > 0 for field in fields(taken))
    pace_of(json.loads(scale.RESULTS.read_text()))


def test_the_database_is_measured_as_it_is_written(settings: Settings) -> None:
    said = {
        "probabilities": dict.fromkeys(CLASSES, 1 / 7),
        "members": {"one": [0.123456789] * 7},
        "quality": {"sharpness": 0.123456789},
        "out_of_scope": None,
        "inputs": {},
    }
    engine = make_engine(settings)
    found = scale_database.measure(engine, settings, said, 40)
    with engine.connect() as connection:
        written = connection.execute(
            text(
                "SELECT (SELECT count(*) FROM assessments), (SELECT count(*) FROM images"
                " WHERE release_id <> (SELECT id FROM releases WHERE name = 'before'))"
            )
        ).one()
    engine.dispose()
    assert tuple(written) == (40, 2)
    assert found.keys() <= {field.name for field in fields(Taken)}
    assert found["row_bytes"] > 100
    # A worker writes the image's row as well, and more for each batch.
    assert found["wal_bytes"] > found["copy_wal_bytes"] > 100


def test_assessments_can_be_partitioned_by_release(settings: Settings) -> None:
    engine = make_engine(settings)
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TABLE parts (LIKE assessments INCLUDING ALL) PARTITION BY LIST (release_id)"
            )
        )
        connection.execute(text("CREATE TABLE part PARTITION OF parts FOR VALUES IN (1)"))
    engine.dispose()
