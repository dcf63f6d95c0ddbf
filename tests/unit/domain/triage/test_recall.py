"""When a decided case is recalled."""

from hypothesis import given
from hypothesis import strategies as st
from tests.triage_strategies import severities

from dermtriage.core.enums import (
    Outcome,
    Severity,
)
from dermtriage.triage.recall import needs_recall


@given(severities, severities, st.sampled_from(Outcome), st.booleans())
def test_needs_recall(latest: Severity, before: Severity, outcome: Outcome, already: bool) -> None:
    assert needs_recall(latest, before, outcome, already) == (
        latest is Severity.SEVERE
        and before is not Severity.SEVERE
        and outcome is not Outcome.REFER_URGENT
        and not already
    )
