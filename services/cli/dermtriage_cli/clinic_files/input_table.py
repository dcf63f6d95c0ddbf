"""A CSV table whose columns age_approx, sex and anatom_site are inputs of an ensemble."""

from pathlib import Path

from dermtriage_cli.clinic_files.csv_table import Row, read_rows, row_error

OLDEST = 120
"""Years; a higher age is a typing error."""


def read_inputs(path: Path) -> dict[str, dict[str, str | int]]:
    """Read the metadata inputs of each photograph: age, sex and site, by photograph.

    Raises
    ------
    RequestRejected
        If the table cannot be read, or an age is not a number of years.
    """
    return {row.image: _inputs(path, row) for row in read_rows(path)}


def _inputs(path: Path, row: Row) -> dict[str, str | int]:
    inputs: dict[str, str | int] = {
        field: row.values[field] for field in ("sex", "anatom_site") if field in row.values
    }
    if (age := row.values.get("age_approx")) is not None:
        if not age.isdecimal() or int(age) > OLDEST:
            raise row_error(path, row.line, f"age_approx is {age!r}, not a number of years")
        inputs["age_approx"] = int(age)
    return inputs
