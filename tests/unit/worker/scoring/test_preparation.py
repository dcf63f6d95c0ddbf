"""How the photographs of a batch are prepared: one after another, or side by side."""

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
from dermtriage_worker.scoring.preparation import ABREAST, Preparation

WAIT = 30.0
LEASES = [Lease(UUID(int=number), UUID(int=0), number, 1) for number in range(3 * ABREAST)]


def photograph(lease: Lease) -> Photograph:
    return Photograph(str(lease.token).encode(), torch.empty(0))


def test_one_after_another_each_is_prepared_when_it_is_asked_for() -> None:
    begun: list[tuple[int, int]] = []

    def prepare(lease: Lease) -> Photograph:
        begun.append((lease.token, threading.get_ident()))
        return photograph(lease)

    with closing(Preparation(side_by_side=False).each(prepare, LEASES)) as coming:
        for number, (lease, prepared) in enumerate(coming):
            assert len(begun) == number
            assert prepared().rendition == str(lease.token).encode()
    assert begun == [(lease.token, threading.get_ident()) for lease in LEASES]


def test_side_by_side_they_keep_their_order_and_what_fails_fails_alone() -> None:
    together = threading.Barrier(ABREAST)

    def prepare(lease: Lease) -> Photograph:
        together.wait(WAIT)
        if lease.token % 5 == 0:
            raise ValueError(lease.token)
        return photograph(lease)

    seen = []
    with closing(Preparation(side_by_side=True).each(prepare, LEASES)) as coming:
        for lease, prepared in coming:
            if lease.token % 5 == 0:
                with pytest.raises(ValueError, match=f"^{lease.token}$"):
                    prepared()
            else:
                assert prepared().rendition == str(lease.token).encode()
            seen.append(lease)
    assert seen == LEASES


def test_side_by_side_nothing_begins_after_the_end() -> None:
    begun: list[int] = []
    go_on = threading.Event()

    def prepare(lease: Lease) -> Photograph:
        begun.append(lease.token)
        assert lease.token == 0 or go_on.wait(WAIT)
        return photograph(lease)

    preparation = Preparation(side_by_side=True)
    with closing(preparation.each(prepare, LEASES)) as coming:
        next(coming)[1]()
    go_on.set()
    with closing(preparation.each(photograph, LEASES[:1])) as coming:
        next(coming)[1]()
    assert len(begun) <= ABREAST + 1


def test_helpers_do_not_decode_by_themselves() -> None:
    """Each thread that decodes keeps the memory of its largest photograph."""
    preparation = Preparation(side_by_side=True)
    together = threading.Barrier(ABREAST)
    decoders: set[int] = set()

    def decode(data: bytes, _: Ensemble) -> Photograph:
        decoders.add(threading.get_ident())
        return Photograph(data, torch.empty(0))

    def prepare(lease: Lease) -> Photograph:
        together.wait(WAIT)
        return preparation.decode(decode, str(lease.token).encode(), cast(Ensemble, None))

    with closing(preparation.each(prepare, LEASES)) as coming:
        assert [each().rendition for _, each in coming] == [
            str(lease.token).encode() for lease in LEASES
        ]
    assert len(decoders) <= (os.cpu_count() or 1)
