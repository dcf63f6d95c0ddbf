"""Referrals from a clinic's photographs and CSV table."""

from pathlib import Path

from dermtriage_cli.clinic_files.case_table import read_cases
from dermtriage_cli.clinic_files.photographs import by_name, find_photographs
from dermtriage_cli.submission.referral import Photograph, Referral


def read_referrals(paths: list[Path], table: Path | None = None) -> list[Referral]:
    """Return one referral per photograph, or per case of a table.

    Parameters
    ----------
    paths
        Photographs, or folders of them.
    table
        The clinic's CSV file; None makes each photograph a case.

    Raises
    ------
    RequestRejected
        See `find_photographs` and `read_cases`.
    """
    found = find_photographs(paths)
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
