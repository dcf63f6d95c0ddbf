"""No lesion is in two splits, and the split depends on nothing but lesions and seed."""

import random
from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dermtriage.states import CLASSES
from dermtriage_worker.training.data import Record, assign_splits
from dermtriage_worker.training.splits import Split, split_lesions

_lesions = st.dictionaries(st.text("abc123", min_size=1, max_size=6), st.sampled_from(CLASSES))
_share = st.floats(0.05, 0.5)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5)), min_size=1, max_size=40),
    _share,
    _share,
    st.integers(0, 2**32),
)
def test_no_lesion_is_in_two_splits(
    lesions: list[tuple[int, int]], heldout: float, calibration: float, seed: int
) -> None:
    records = [
        Record(f"{index}-{sibling}", f"L{lesion}", CLASSES[lesion % 7], "histo", Path("x"))
        for index, (lesion, siblings) in enumerate(lesions)
        for sibling in range(siblings)
    ]
    splits = assign_splits(records, heldout_share=heldout, calibration_share=calibration, seed=seed)
    homes = Counter(lesion for part in splits.values() for lesion in {r.lesion_id for r in part})
    assert set(homes.values()) == {1}
    assert sorted(r.image_id for part in splits.values() for r in part) == sorted(
        r.image_id for r in records
    )


@given(_lesions, st.integers(0, 2**32))
def test_order_of_lesions_does_not_matter(lesions: dict[str, str], seed: int) -> None:
    shuffled = list(lesions.items())
    random.Random(seed).shuffle(shuffled)
    one = split_lesions(lesions, heldout_share=0.2, calibration_share=0.1, seed=seed)
    two = split_lesions(dict(shuffled), heldout_share=0.2, calibration_share=0.1, seed=seed)
    assert one == two
    assert set(one) == set(lesions)


def test_shares_hold_in_every_class() -> None:
    lesions = {f"{name}{i}": name for name in CLASSES for i in range(100)}
    splits = split_lesions(lesions, heldout_share=0.2, calibration_share=0.1, seed=3)
    for name in CLASSES:
        counts = Counter(splits[lesion] for lesion in lesions if lesions[lesion] == name)
        assert counts == {Split.HELDOUT: 20, Split.CALIBRATION: 8, Split.TRAIN: 72}


def test_seed_matters() -> None:
    lesions = {f"L{i}": "nv" for i in range(100)}
    splits = [
        split_lesions(lesions, heldout_share=0.2, calibration_share=0.1, seed=seed)
        for seed in (1, 2)
    ]
    assert splits[0] != splits[1]
