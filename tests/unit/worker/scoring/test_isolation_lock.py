"""Suspects are scored one at a time and beside no batch, and take turns with batches."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from dermtriage_worker.scoring.isolation_lock import IsolationLock

WAIT = 30.0


def hold_until(
    pool: ThreadPoolExecutor, lock: IsolationLock, go_on: threading.Event, *, alone: bool
) -> Future[None]:
    """Hold the lock in another thread until `go_on` is set; return once it is held."""
    held = threading.Event()

    def hold() -> None:
        with lock.alone(lock.tried) if alone else lock.beside_others():
            held.set()
            assert go_on.wait(WAIT)

    future = pool.submit(hold)
    assert held.wait(WAIT)
    return future


def test_batches_run_side_by_side() -> None:
    lock, go_on = IsolationLock(), threading.Event()
    with ThreadPoolExecutor(2) as pool:
        futures = [hold_until(pool, lock, go_on, alone=False) for _ in range(2)]
        go_on.set()
        for future in futures:
            future.result(WAIT)


def test_a_suspect_waits_for_the_running_batches_and_keeps_new_ones_waiting() -> None:
    lock, order = IsolationLock(), []
    end_batch = threading.Event()

    def suspect() -> None:
        with lock.alone(lock.tried) as granted:
            assert granted
            order.append("suspect")

    def batch() -> None:
        with lock.beside_others():
            order.append("batch")

    with ThreadPoolExecutor(3) as pool:
        running = hold_until(pool, lock, end_batch, alone=False)
        waiting = pool.submit(suspect)
        time.sleep(0.05)  # by then it waits
        late = pool.submit(batch)
        time.sleep(0.05)
        assert order == []
        end_batch.set()
        for future in (running, waiting, late):
            future.result(WAIT)
    assert order == ["suspect", "batch"]


def test_a_look_from_before_another_suspect_does_not_count() -> None:
    lock, end_first = IsolationLock(), threading.Event()

    def second(tried: int) -> bool:
        with lock.alone(tried) as granted:
            return granted

    with ThreadPoolExecutor(2) as pool:
        tried = lock.tried
        first = hold_until(pool, lock, end_first, alone=True)
        waiting = pool.submit(second, tried)
        time.sleep(0.05)
        assert not waiting.done()
        end_first.set()
        first.result(WAIT)
        assert waiting.result(WAIT) is False
    assert second(lock.tried)


def test_no_two_are_alone_and_none_beside_a_batch() -> None:
    lock = IsolationLock()
    suspects, batches = 0, 0

    def work(number: int) -> None:
        nonlocal suspects, batches
        if number % 3:
            with lock.beside_others():
                batches += 1
                assert not suspects
                time.sleep(0.001)
                batches -= 1
            return
        granted = False
        while not granted:
            with lock.alone(lock.tried) as granted:
                suspects += granted
                assert not granted or (suspects, batches) == (1, 0)
                time.sleep(0.001)
                suspects -= granted

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(60)))
    assert lock.tried == 20


@pytest.mark.parametrize("alone", [False, True])
def test_what_fails_releases_the_lock(alone: bool) -> None:
    lock = IsolationLock()
    with pytest.raises(RuntimeError), lock.alone(lock.tried) if alone else lock.beside_others():
        raise RuntimeError
    with lock.alone(lock.tried) as granted:
        assert granted
    with lock.beside_others():
        pass
