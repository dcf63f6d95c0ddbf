"""Ages as people write them, and as the ISIC archive does."""

import re

OLDEST = 120
"""Years; a higher age is a typing error."""

_AGE = re.compile(r"(\d{1,3})(?:[.,]0+)?\+?")


def age_in_years(age: int | float | str) -> int:
    """Return the years of an age such as ``47``, ``50.0`` or ``85+``.

    Raises
    ------
    ValueError
        If it is not a whole number of years from 0 to `OLDEST`.
    """
    written = _AGE.fullmatch(str(age).strip()) if not isinstance(age, bool) else None
    if written is None or int(written[1]) > OLDEST:
        raise ValueError(f"{age!r} is not a number of years from 0 to {OLDEST}")
    return int(written[1])


def approximate_age(years: int) -> int:
    """Return an age as the ISIC archive's `age_approx`: in steps of five years, 85 at most."""
    return min(85, (years + 2) // 5 * 5)
