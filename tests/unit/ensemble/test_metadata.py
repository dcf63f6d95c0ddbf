"""What is known beside a photograph: read by ISIC's names, and worth nothing where it is absent."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dermtriage_worker.ensemble.manifest import Calibration
from dermtriage_worker.ensemble.metadata import groups, metadata_shift, used_inputs

OLD = (0.5, 0.2, 0.0, 0.0, 0.3, -0.6, 0.0)
WOMAN = (0.0, 0.1, 0.0, 0.0, -0.1, 0.0, 0.0)
CALIBRATION = Calibration(
    temperature=1.0, metadata={"age_approx": {"75+": OLD}, "sex": {"female": WOMAN}}
)


@pytest.mark.parametrize(
    ("site", "region"),
    [
        ("face", "head/neck"),
        ("head/neck", "head/neck"),
        ("posterior torso", "torso"),
        ("back", "torso"),
        ("palms/soles", "acral"),
        ("foot", "acral"),
        ("lower extremity", "lower extremity"),
        ("oral/genital", "genital"),
    ],
)
def test_sites_of_both_vocabularies_are_regions(site: str, region: str) -> None:
    assert groups({"anatom_site": site}) == {"anatom_site": region}


def test_what_says_nothing_is_no_group() -> None:
    assert groups({"anatom_site": "elsewhere", "sex": "", "onset_date": "2020-01-01"}) == {}


@given(st.integers(0, 85))
def test_every_age_has_its_band(age: int) -> None:
    (band,) = groups({"age_approx": age}).values()
    low, _, high = band.partition("-")
    assert int(low.rstrip("+")) <= age
    assert not high or age <= int(high)


def test_known_fields_add_up_and_unknown_ones_add_nothing() -> None:
    shift = metadata_shift(
        [{"age_approx": 80, "sex": "female"}, {"age_approx": 30}, {}], CALIBRATION
    )
    assert shift is not None
    expected = torch.tensor(OLD).double() + torch.tensor(WOMAN).double()
    torch.testing.assert_close(shift[0], expected, atol=1e-6, rtol=0)
    assert not shift[1:].any()
    assert metadata_shift([{"sex": "female"}], Calibration(temperature=1.0)) is None


def test_only_what_changed_something_is_kept() -> None:
    known = {"age_approx": 80, "sex": "male", "anatom_site": "face"}
    assert used_inputs(known, CALIBRATION) == {"age_approx": 80}
