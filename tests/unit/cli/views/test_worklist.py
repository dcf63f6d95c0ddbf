"""The tables of the worklist and of receipts."""

import io
from datetime import datetime
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from dermtriage_cli.views.formatting import local_time
from dermtriage_cli.views.receipts import receipts_table
from dermtriage_cli.views.worklist import worklist_table

LINE: dict[str, Any] = {
    "lane": 0,
    "severity": "severe",
    "due_at": "2026-03-02T08:15:30Z",
    "overdue": True,
    "priority": "routine",
    "case_id": "019a1f0e-5c3b-7d2a-9e44-2f1b6c8d7e10",
    "image_ids": ["one", "two"],
    "clinic_name": "Aldea [Norte]",
    "claimed_by": "m.okafor",
}


def printed(table: Table, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_a_line_shows_what_a_clinician_needs() -> None:
    text = printed(worklist_table([LINE]), 160)
    for shown in ("severe", "yes", "routine", LINE["case_id"], "Aldea [Norte]", "m.okafor"):
        assert shown in text
    assert local_time(LINE["due_at"]) in text


def test_scores_and_references_are_shown_where_they_are_known() -> None:
    scored = [{"assessment": {"p_severe": 0.87}}, {"assessment": None}]
    cases = {LINE["case_id"]: {"clinic_reference": "REF-[1]", "review": {"images": scored}}}
    text = printed(worklist_table([LINE], cases), 160)
    assert "REF-[1]" in text
    assert "0.870, -" in text


@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_narrow_terminal_loses_nothing(width: int) -> None:
    text = printed(worklist_table([LINE]), width)
    assert "…" not in text
    assert "severe" in text


def test_receipts_carry_the_clinics_own_names() -> None:
    receipt = {
        "case_id": LINE["case_id"],
        "received_at": "2026-03-01T08:15:30Z",
        "priority": "stat",
        "images": [{}],
    }
    text = printed(receipts_table([("photos/[1].jpg", receipt)]), 120)
    assert "photos/[1].jpg" in text
    assert LINE["case_id"] in text


def test_times_are_local() -> None:
    moment = datetime.fromisoformat("2026-03-01T08:15:30Z").astimezone()
    assert local_time("2026-03-01T08:15:30Z") == moment.strftime("%a %d %b %H:%M")
