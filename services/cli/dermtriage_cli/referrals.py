"""Referrals out of a clinic's files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dermtriage_cli.photographs import by_name, find_photographs
from dermtriage_cli.sender import Photograph, Referral
from dermtriage_cli.tables import read_cases


def referrals_of(
    paths: list[Path], table: Path | None = None, defaults: Mapping[str, Any] | None = None
) -> list[Referral]:
    """Return one referral a photograph, or those that a table makes of them.

    Parameters
    ----------
    paths
        Photographs and folders.
    table
        The clinic's CSV file.
    defaults
        Fields for referrals without a table.

    Raises
    ------
    RequestRejected
        If a path or the table is wrong; see `find_photographs` and `read_cases`.
    """
    found = find_photographs(paths)
    if table is None:
        return [
            Referral(str(path), (Photograph(path.read_bytes),), defaults or {}) for path in found
        ]
    names = by_name(found)
    return [
        Referral(
            case.name,
            tuple(Photograph(names[name].read_bytes, kind) for name, kind in case.images.items()),
            case.metadata,
        )
        for case in read_cases(table, names)
    ]
