"""Ages as people write them, and in steps of five years."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermtriage.core.age import OLDEST, age_in_years, approximate_age


@pytest.mark.parametrize(
    ("written", "years"),
    [(47, 47), ("47", 47), (50.0, 50), ("50.0", 50), ("50,0", 50), (" 90 ", 90), ("85+", 85)],
)
def test_an_age_is_read_as_people_write_it(written: float | str, years: int) -> None:
    assert age_in_years(written) == years


@pytest.mark.parametrize("written", ["", "old", "-5", -5, "47.5", 47.5, OLDEST + 1, True, "4 7"])
def test_what_is_no_age_is_refused(written: float | str) -> None:
    with pytest.raises(ValueError, match="number of years"):
        age_in_years(written)


@given(st.integers(0, OLDEST))
def test_the_approximate_age_is_the_nearest_step(years: int) -> None:
    approximate = approximate_age(years)
    assert approximate % 5 == 0
    assert abs(approximate - min(years, 85)) <= 2
