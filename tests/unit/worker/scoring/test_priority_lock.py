"""The order in which threads get the device."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dermtriage_worker.scoring.priority_lock import PriorityLock

WAIT = 30.0


def test_an_upload_passes_every_batch_that_waits() -> None:
    lock, order = PriorityLock(), []
    running = threading.Event()
    go_on = threading.Event()

    def batch(name: str, *, urgent: bool = False) -> None:
        with lock.hold(urgent=urgent):
            order.append(name)

    def first() -> None:
        with lock.hold(urgent=False):
            running.set()
            assert go_on.wait(WAIT)

    with ThreadPoolExecutor(16) as pool:
        done = [pool.submit(first)]
        assert running.wait(WAIT)
        done += [pool.submit(batch, "bulk") for _ in range(12)]
        time.sleep(0.05)  # by then they wait
        done += [pool.submit(batch, "upload", urgent=True) for _ in range(2)]
        while lock.urgent_waiting < 2:
            time.sleep(0.001)
        go_on.set()
        for each in done:
            each.result(WAIT)
    assert order == ["upload"] * 2 + ["bulk"] * 12


def test_one_thread_has_the_device_at_a_time() -> None:
    lock = PriorityLock()
    inside, most = 0, 0

    def batch(number: int) -> None:
        nonlocal inside, most
        with lock.hold(urgent=bool(number % 3)):
            inside += 1
            most = max(most, inside)
            time.sleep(0.001)
            inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(batch, range(48)))
    assert most == 1


def test_a_batch_that_fails_releases_the_device() -> None:
    lock = PriorityLock()
    with pytest.raises(RuntimeError), lock.hold(urgent=True):
        raise RuntimeError
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: lock.hold(urgent=False).__enter__()).result(WAIT)
