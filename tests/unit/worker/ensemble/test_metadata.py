"""What is known beside a photograph: read by ISIC's names, and worth nothing where it is absent."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dermtriage_worker.ensemble.metadata import COLUMNS, WIDTH, YOUNG, encode, used_inputs
from dermtriage_worker.ensemble.networks.lesionnet import PatientBranch

REGIONS = {
    "head/neck": ["face", "head/neck", "scalp"],
    "torso": ["posterior torso", "back", "abdomen", "trunk"],
    "upper extremity": ["upper extremity"],
    "lower extremity": ["lower extremity"],
    "acral": ["palms/soles", "foot", "acral"],
    "genital": ["oral/genital", "genital"],
}


def test_sites_of_both_vocabularies_are_six_regions() -> None:
    rows = [encode([{"anatom_site": site} for site in sites]) for sites in REGIONS.values()]
    for same in rows:
        assert len(same.unique(dim=0)) == 1
        assert same[0].sum() == 1
    assert len(torch.cat(rows).unique(dim=0)) == len(REGIONS)


@pytest.mark.parametrize(
    "nothing",
    [{}, {"anatom_site": "elsewhere", "sex": "", "age_approx": ""}, {"onset_date": "2020-01-01"}],
)
def test_what_says_nothing_is_all_zero_and_adds_nothing(nothing: dict[str, str]) -> None:
    torch.manual_seed(0)
    encoded = encode([nothing])
    assert not encoded.any()
    assert not PatientBranch(7)(encoded).any()
    assert used_inputs(nothing) == {}


@given(st.integers(0, YOUNG - 1))
def test_the_young_are_judged_by_the_photograph_alone(age: int) -> None:
    known = {"age_approx": age, "sex": "female", "anatom_site": "back"}
    assert not encode([known]).any()
    assert used_inputs(known) == {}


@given(st.integers(YOUNG, 84))
def test_from_there_on_every_year_counts(age: int) -> None:
    younger, older = encode([{"age_approx": age}, {"age_approx": age + 1}])
    assert younger[0] == older[0] == 1
    assert younger[1] < older[1]


def test_each_field_has_columns_of_its_own() -> None:
    known = {"age_approx": 80, "sex": "male", "anatom_site": "face"}
    alone = [encode([{field: known[field]}])[0] for field in COLUMNS]
    assert torch.equal(sum(alone), encode([known])[0])
    taken = sorted(i for columns in COLUMNS.values() for i in range(WIDTH)[columns])
    assert taken == list(range(WIDTH))


def test_only_what_says_something_is_kept() -> None:
    known = {"age_approx": 80, "sex": "unknown", "anatom_site": "face", "onset_date": "2020-01-01"}
    assert used_inputs(known) == {"age_approx": 80, "anatom_site": "face"}
