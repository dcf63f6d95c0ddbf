"""No lesion is in two folds, and the folds depend on nothing but lesions and seed."""

import random
from collections import Counter, defaultdict
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dermtriage.core.enums import CLASSES
from dermtriage_worker.evaluation.labelled import Labelled
from dermtriage_worker.training.data import assign_folds
from dermtriage_worker.training.folds import fold_lesions

_lesions = st.dictionaries(st.text("abc123", min_size=1, max_size=6), st.sampled_from(CLASSES))
_folds = st.integers(2, 6)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5)), min_size=1, max_size=40),
    _folds,
    st.integers(0, 2**32),
)
def test_siblings_are_in_one_fold(lesions: list[tuple[int, int]], folds: int, seed: int) -> None:
    records = [
        Labelled(f"{index}-{sibling}", Path("x"), CLASSES[lesion % 7], f"L{lesion}")
        for index, (lesion, siblings) in enumerate(lesions)
        for sibling in range(siblings)
    ]
    homes = defaultdict(set)
    for record, fold in zip(records, assign_folds(records, folds=folds, seed=seed), strict=True):
        assert 0 <= fold < folds
        homes[record.lesion_id].add(fold)
    assert all(len(home) == 1 for home in homes.values())


@given(_lesions, _folds, st.integers(0, 2**32))
def test_order_of_lesions_does_not_matter(lesions: dict[str, str], folds: int, seed: int) -> None:
    shuffled = list(lesions.items())
    random.Random(seed).shuffle(shuffled)
    one = fold_lesions(lesions, folds=folds, seed=seed)
    assert one == fold_lesions(dict(shuffled), folds=folds, seed=seed)
    assert set(one) == set(lesions)


@given(_lesions, _folds, st.integers(0, 2**32))
def test_every_fold_has_its_share_of_every_class(
    lesions: dict[str, str], folds: int, seed: int
) -> None:
    dealt = fold_lesions(lesions, folds=folds, seed=seed)
    for kind in (None, *CLASSES):
        counts = Counter(dealt[lesion] for lesion in lesions if kind in (None, lesions[lesion]))
        sizes = [counts[fold] for fold in range(folds)]
        assert max(sizes) - min(sizes) <= 1


def test_seed_matters() -> None:
    lesions = {f"L{i}": "nv" for i in range(100)}
    assert fold_lesions(lesions, folds=4, seed=1) != fold_lesions(lesions, folds=4, seed=2)
