"""A CSV table whose columns age_approx, sex and anatom_site are inputs of an ensemble."""

from pathlib import Path

from dermtriage.core.age import age_in_years, approximate_age
from dermtriage_cli.clinic_files.csv_table import Row, read_rows, row_error


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
        try:
            inputs["age_approx"] = approximate_age(age_in_years(age))
        except ValueError as error:
            raise row_error(path, row.line, f"age_approx: {error}") from None
    return inputs
