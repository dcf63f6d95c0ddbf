"""How the photographs of a batch are loaded: one after another, or side by side."""

import os
import threading
from contextlib import closing
from typing import cast
from uuid import UUID

import pytest
import torch

from dermtriage.scoring.leases import Lease
from dermtriage_worker.ensemble.image.photograph import Photograph
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.scoring.photograph_loader import FETCHES_AT_ONCE, PhotographLoader

WAIT = 30.0
LEASES = [Lease(UUID(int=number), UUID(int=0), number, 1) for number in range(3 * FETCHES_AT_ONCE)]


def photograph(lease: Lease) -> Photograph:
    return Photograph(str(lease.token).encode(), torch.empty(0))


def test_one_after_another_each_is_loaded_by_the_caller_when_its_turn_comes() -> None:
    begun: list[tuple[int, int]] = []

    def load(lease: Lease) -> Photograph:
        begun.append((lease.token, threading.get_ident()))
        return photograph(lease)

    with closing(PhotographLoader(side_by_side=False).load_each(load, LEASES)) as loading:
        for number, (lease, loaded) in enumerate(loading):
            assert len(begun) == number
            assert loaded().rendition == str(lease.token).encode()
    assert begun == [(lease.token, threading.get_ident()) for lease in LEASES]


def test_side_by_side_they_keep_their_order_and_one_that_fails_fails_alone() -> None:
    together = threading.Barrier(FETCHES_AT_ONCE)

    def load(lease: Lease) -> Photograph:
        together.wait(WAIT)
        if lease.token % 5 == 0:
            raise ValueError(lease.token)
        return photograph(lease)

    seen = []
    with closing(PhotographLoader(side_by_side=True).load_each(load, LEASES)) as loading:
        for lease, loaded in loading:
            if lease.token % 5 == 0:
                with pytest.raises(ValueError, match=f"^{lease.token}$"):
                    loaded()
            else:
                assert loaded().rendition == str(lease.token).encode()
            seen.append(lease)
    assert seen == LEASES


def test_side_by_side_nothing_begins_after_the_end() -> None:
    begun: list[int] = []
    go_on = threading.Event()

    def load(lease: Lease) -> Photograph:
        begun.append(lease.token)
        assert lease.token == 0 or go_on.wait(WAIT)
        return photograph(lease)

    loader = PhotographLoader(side_by_side=True)
    with closing(loader.load_each(load, LEASES)) as loading:
        next(loading)[1]()
    go_on.set()
    with closing(loader.load_each(photograph, LEASES[:1])) as loading:
        next(loading)[1]()
    assert len(begun) <= FETCHES_AT_ONCE + 1


def test_no_more_threads_decode_than_there_are_cores() -> None:
    """Each thread that decodes keeps the memory of its largest photograph."""
    loader = PhotographLoader(side_by_side=True)
    together = threading.Barrier(FETCHES_AT_ONCE)
    decoders: set[int] = set()

    def decode(data: bytes, _: Ensemble) -> Photograph:
        decoders.add(threading.get_ident())
        return Photograph(data, torch.empty(0))

    def load(lease: Lease) -> Photograph:
        together.wait(WAIT)
        return loader.decode(decode, str(lease.token).encode(), cast(Ensemble, None))

    with closing(loader.load_each(load, LEASES)) as loading:
        assert [loaded().rendition for _, loaded in loading] == [
            str(lease.token).encode() for lease in LEASES
        ]
    assert len(decoders) <= (os.cpu_count() or 1)
