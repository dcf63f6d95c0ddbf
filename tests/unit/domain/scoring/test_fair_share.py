"""How many pending images one thread may take."""

from hypothesis import given
from hypothesis import strategies as st

from dermtriage.scoring.lease_acquisition import fair_share

counts = st.integers(0, 10_000)
few = st.integers(1, 200)


@given(counts, few, few)
def test_one_image_at_least_and_a_batch_at_most(pending: int, slots: int, batch: int) -> None:
    assert 1 <= fair_share(pending, slots, batch) <= batch


@given(few, few, few)
def test_enough_is_left_for_the_other_slots(pending: int, slots: int, batch: int) -> None:
    """Where there are as many images as slots, each slot gets one."""
    taken, left = 0, pending
    while left and taken < slots - 1:
        left -= min(left, fair_share(left, slots, batch))
        taken += 1
    assert left >= 1 or pending < slots


@given(few, few, few)
def test_all_slots_together_take_everything_up_to_full_batches(
    pending: int, slots: int, batch: int
) -> None:
    assert slots * fair_share(pending, slots, batch) >= min(pending, slots * batch)


@given(few, few)
def test_a_backlog_fills_batches(slots: int, batch: int) -> None:
    assert fair_share(slots * batch, slots, batch) == batch


@given(counts, counts, few, few)
def test_more_work_never_means_a_smaller_share(
    one: int, other: int, slots: int, batch: int
) -> None:
    fewer, more = sorted((one, other))
    assert fair_share(fewer, slots, batch) <= fair_share(more, slots, batch)


@given(counts, few)
def test_without_a_live_slot_the_asker_counts_as_one(pending: int, batch: int) -> None:
    assert fair_share(pending, 0, batch) == fair_share(pending, 1, batch)
