"""Photographs are inspected in processes that can be lost, and that hold nothing to lose."""

import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from tests.unit.domain.imaging.pictures import encode, photograph, png_chunk

from dermtriage.core.errors import ImageRejected
from dermtriage.imaging.decoding_child import LENGTH
from dermtriage.imaging.decoding_pool import DecodingPool, inspect_in_child
from dermtriage.imaging.validation import inspect

PLAIN = encode(photograph())


@pytest.fixture
def pool() -> Iterator[DecodingPool]:
    made = DecodingPool(2)
    yield made
    made.close()


def children() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if "dermtriage.imaging.decoding_child" in child.cmdline()
    ]


def end(child: psutil.Process, number: int) -> None:
    """End a process, and leave its status to its pool."""
    child.send_signal(number)
    while child.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)


def new_child(pool: DecodingPool) -> psutil.Process:
    others = {child.pid for child in children()}
    pool.inspect(PLAIN)
    (child,) = (child for child in children() if child.pid not in others)
    return child


def test_answers_are_those_of_this_process(pool: DecodingPool) -> None:
    assert pool.inspect(PLAIN) == inspect(PLAIN)
    for data in (b"", b"no picture", PLAIN[:-400], encode(photograph(20, 20), "PNG")):
        with pytest.raises(ImageRejected) as here:
            inspect(data)
        with pytest.raises(ImageRejected) as there:
            pool.inspect(data)
        assert str(there.value) == str(here.value)
        assert there.value.code == here.value.code
    assert inspect_in_child(PLAIN) == inspect(PLAIN)


def test_a_process_serves_many_and_no_more_run_than_allowed(pool: DecodingPool) -> None:
    others = {child.pid for child in children()}
    with ThreadPoolExecutor(8) as threads:
        facts = list(threads.map(pool.inspect, [PLAIN] * 40))
    assert facts == [inspect(PLAIN)] * 40
    assert 1 <= len({child.pid for child in children()} - others) <= 2


def test_a_process_holds_no_environment_and_no_descriptor_of_ours(
    pool: DecodingPool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DERMTRIAGE_SECRET_KEY", "secret")
    with (tmp_path / "a file").open("wb") as held:
        os.set_inheritable(held.fileno(), True)
        child = new_child(pool)
        assert not [name for name in child.environ() if name.startswith("DERMTRIAGE")]
        assert child.open_files() == []
        assert child.net_connections() == []
        assert child.num_fds() == 3


def test_a_photograph_that_kills_its_process_is_refused_and_costs_no_other(
    pool: DecodingPool,
) -> None:
    end(new_child(pool), signal.SIGSEGV)
    with pytest.raises(ImageRejected) as refused:
        pool.inspect(PLAIN)
    assert refused.value.code == "corrupt_image"
    assert pool.inspect(PLAIN) == inspect(PLAIN)


def test_a_process_that_somebody_ends_costs_nothing(pool: DecodingPool) -> None:
    end(new_child(pool), signal.SIGKILL)
    assert pool.inspect(PLAIN) == inspect(PLAIN)


def test_processes_end_with_their_pool_and_with_their_parent() -> None:
    pool = DecodingPool(1)
    child = new_child(pool)
    pool.close()
    assert not child.is_running()
    program = (
        "import os, sys; from dermtriage.imaging.decoding_pool import inspect_in_child;"
        "inspect_in_child(sys.stdin.buffer.read()); print(open('/proc/self/task/%d/children' %"
        " os.getpid()).read(), flush=True); os.kill(os.getpid(), 9)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], check=False, input=PLAIN, capture_output=True
    )
    assert run.returncode == -signal.SIGKILL
    orphan = int(run.stdout)
    if psutil.pid_exists(orphan):
        psutil.Process(orphan).wait(10)


def test_time_and_memory_of_a_process_are_limited(pool: DecodingPool) -> None:
    child = new_child(pool)
    soft, _ = child.rlimit(psutil.RLIMIT_CPU)
    assert 0 < soft <= 12
    assert child.rlimit(psutil.RLIMIT_AS)[0] < 2**31
    assert child.rlimit(psutil.RLIMIT_CORE) == (0, 0)
    assert Path(f"/proc/{child.pid}/oom_score_adj").read_text().strip() == "1000"


def test_a_photograph_that_exceeds_the_memory_is_refused(pool: DecodingPool) -> None:
    child = new_child(pool)
    used = child.memory_info().vms
    child.rlimit(psutil.RLIMIT_AS, (used + 50_000_000, used + 50_000_000))
    rows = zlib.compress(bytes(6000 * (1 + 3 * 6000)), 1)
    large = b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            png_chunk(b"IHDR", struct.pack(">IIBBBBB", 6000, 6000, 8, 2, 0, 0, 0)),
            png_chunk(b"IDAT", rows),
            png_chunk(b"IEND", b""),
        ]
    )
    with pytest.raises(ImageRejected) as refused:
        pool.inspect(large)
    assert refused.value.code == "corrupt_image"
    assert pool.inspect(PLAIN) == inspect(PLAIN)


def test_a_photograph_that_exceeds_its_time_is_refused(pool: DecodingPool) -> None:
    end(new_child(pool), signal.SIGXCPU)
    with pytest.raises(ImageRejected) as refused:
        pool.inspect(PLAIN)
    assert refused.value.code == "corrupt_image"


def test_a_process_whose_input_ends_within_a_photograph_ends() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "dermtriage.imaging.decoding_child"],
        check=False,
        input=LENGTH.pack(1000) + PLAIN[:500],
        capture_output=True,
        timeout=30,
    )
    assert run.returncode == 0
    assert b"truncated_image" in run.stdout
