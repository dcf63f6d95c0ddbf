"""The check of the worklist's order finds each fault, and only faults."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from dermtriage.core.enums import Lane, Priority, Severity
from dermtriage.triage.lanes import base_lane
from dermtriage_cli.demo.worklist_order import Line, order_faults

START = datetime(2026, 3, 2, tzinfo=UTC)


def line(number: int, severity: Severity, priority: Priority, hours: int) -> Line:
    lane = int(base_lane(severity, priority))
    return Line(UUID(int=number), lane, severity, priority, START + timedelta(hours=hours))


lines = st.builds(
    line,
    st.integers(0, 1000),
    st.sampled_from(Severity),
    st.sampled_from(Priority),
    st.integers(0, 3),
)
worklists = st.lists(lines, unique_by=lambda one: one.case_id).map(
    lambda some: sorted(some, key=lambda one: (one.lane, one.due_at, one.case_id))
)


@given(worklists)
def test_a_right_order_has_no_faults(worklist: list[Line]) -> None:
    assert order_faults(worklist) == []


@given(worklists.filter(lambda some: len(some) > 1), st.data())
def test_two_swapped_lines_are_found(worklist: list[Line], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(worklist) - 2))
    worklist[first], worklist[first + 1] = worklist[first + 1], worklist[first]
    assert any("more urgent" in fault for fault in order_faults(worklist))


def test_a_severe_case_in_a_lower_lane_is_found() -> None:
    wrong = Line(UUID(int=1), int(Lane.LOW), Severity.SEVERE, Priority.ROUTINE, START)
    (fault,) = order_faults([wrong])
    assert "belongs in lane 0" in fault


def test_the_referrer_raises_the_lane() -> None:
    right = Line(UUID(int=1), 0, Severity.LOW, Priority.STAT, START)
    wrong = Line(UUID(int=2), 3, Severity.LOW, Priority.STAT, START)
    assert order_faults([right]) == []
    assert len(order_faults([wrong])) == 1


def test_a_line_is_read_from_the_api() -> None:
    item = {
        "case_id": str(UUID(int=7)),
        "lane": 2,
        "severity": "indeterminate",
        "priority": "urgent",
        "due_at": "2026-03-02T00:00:00Z",
    }
    assert Line.of(item) == Line(UUID(int=7), 2, Severity.INDETERMINATE, Priority.URGENT, START)
