"""Referrals from a clinic's photographs and CSV table."""

from collections.abc import Sequence
from pathlib import Path

from dermtriage_cli.clinic_files.case_table import read_cases
from dermtriage_cli.clinic_files.csv_table import read_rows
from dermtriage_cli.clinic_files.photographs import by_name, name_of
from dermtriage_cli.submission.referral import Photograph, Referral


def read_referrals(found: Sequence[Path], table: Path | None = None) -> list[Referral]:
    """Return one referral per photograph, or per case of a table.

    Parameters
    ----------
    found
        Photographs.
    table
        The clinic's CSV file; None makes each photograph a case.

    Raises
    ------
    RequestRejected
        See `by_name` and `read_cases`.
    """
    if table is None:
        return [Referral(str(path), (Photograph(path.read_bytes),)) for path in found]
    names = by_name(found)
    return [
        Referral(
            case.name,
            tuple(Photograph(names[name].read_bytes, kind) for name, kind in case.images.items()),
            case.metadata,
        )
        for case in read_cases(table, names)
    ]


def not_sendable(left_out: Sequence[Path], table: Path | None) -> list[Path]:
    """Return the files that a table names although they are no photographs that can be sent."""
    named = {row.image for row in read_rows(table)} if table else set()
    return [path for path in left_out if name_of(path) in named]
