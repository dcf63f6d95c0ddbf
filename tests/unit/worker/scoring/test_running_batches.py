"""Which batches run, and which of them hang."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from dermtriage.scoring.leases import Lease
from dermtriage_worker.scoring.running_batches import RunningBatches, lease_tokens

LIMIT = 0.05
WAIT = 30.0


def lease(token: int) -> Lease:
    return Lease(uuid4(), uuid4(), token, 1)


def test_leases_are_held_while_their_batch_runs() -> None:
    batches = RunningBatches()
    with batches.run([lease(1), lease(2)]):
        assert lease_tokens(batches.all()) == [1, 2]
        assert batches.ended == 0
    assert batches.all() == []
    assert batches.ended == 1


def test_a_batch_hangs_although_others_end() -> None:
    batches = RunningBatches()
    begun, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        with batches.run([lease(7)]):
            begun.set()
            assert go_on.wait(WAIT)

    with ThreadPoolExecutor(1) as pool:
        hung = pool.submit(hang)
        assert begun.wait(WAIT)
        end = time.monotonic() + 2 * LIMIT
        while time.monotonic() < end:
            with batches.run([lease(1)]):
                time.sleep(LIMIT / 10)
        with batches.run([lease(2)]):
            assert lease_tokens(batches.hung(LIMIT)) == [7]
        go_on.set()
        hung.result(WAIT)
    assert batches.hung(0) == []


def test_waiting_for_another_batch_and_steps_are_not_counted() -> None:
    batches = RunningBatches()
    with batches.run():
        with batches.waiting():
            time.sleep(2 * LIMIT)
            assert batches.hung(LIMIT) == []
            # An outage of the database ends no wait.
            batches.restart_all_clocks()
            time.sleep(2 * LIMIT)
            assert batches.hung(LIMIT) == []
        assert batches.hung(LIMIT) == []
        time.sleep(2 * LIMIT)
        assert len(batches.hung(LIMIT)) == 1
        batches.restart_clock()
        assert batches.hung(LIMIT) == []
        time.sleep(2 * LIMIT)
        batches.restart_all_clocks()
        assert batches.hung(LIMIT) == []


def test_a_step_outside_of_a_batch_is_ignored() -> None:
    batches = RunningBatches()
    batches.restart_clock()
    with batches.waiting():
        assert batches.all() == []
