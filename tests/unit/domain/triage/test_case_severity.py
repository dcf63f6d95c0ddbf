"""The severity of a case, and of an open case over time."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.triage_strategies import URGENCY_OF_SCORED, images, scored, severities

from dermtriage.core.enums import (
    Scoring,
    Severity,
)
from dermtriage.triage.case_severity import ImageStatus, case_severity, open_severity


@given(st.lists(images(), max_size=6))
def test_a_case_is_severe_else_unscored_else_the_worst(statuses: list[ImageStatus]) -> None:
    to_score = [status for status in statuses if status.scoring is not Scoring.NOT_SCORED]
    missing = any(status.scoring in {Scoring.PENDING, Scoring.FAILED} for status in to_score)
    severities = {status.severity for status in to_score}
    if Severity.SEVERE in severities:
        expected = Severity.SEVERE
    elif missing or not to_score:
        expected = Severity.UNSCORED
    elif Severity.INDETERMINATE in severities:
        expected = Severity.INDETERMINATE
    else:
        expected = Severity.LOW
    assert case_severity(statuses) is expected


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([ImageStatus(Scoring.FAILED)], Severity.UNSCORED),
        (
            [ImageStatus(Scoring.FAILED), ImageStatus(Scoring.SCORED, Severity.LOW)],
            Severity.UNSCORED,
        ),
        (
            [ImageStatus(Scoring.PENDING), ImageStatus(Scoring.SCORED, Severity.INDETERMINATE)],
            Severity.UNSCORED,
        ),
        (
            [ImageStatus(Scoring.FAILED), ImageStatus(Scoring.SCORED, Severity.SEVERE)],
            Severity.SEVERE,
        ),
        (
            [ImageStatus(Scoring.NOT_SCORED), ImageStatus(Scoring.SCORED, Severity.LOW)],
            Severity.LOW,
        ),
    ],
)
def test_a_missing_score_is_never_hidden(statuses: list[ImageStatus], expected: Severity) -> None:
    assert case_severity(statuses) is expected


@given(severities, st.lists(severities, max_size=12))
def test_the_severity_of_an_open_case_only_rises(first: Severity, later: list[Severity]) -> None:
    placements = [first]
    for severity in later:
        placements.append(open_severity(placements[-1], severity))
    for before, after in pairwise(placements):
        # Unscored is the lack of a score: the first score sets it, and nothing brings it back.
        if before is not Severity.UNSCORED:
            assert after is not Severity.UNSCORED
            assert URGENCY_OF_SCORED[after] >= URGENCY_OF_SCORED[before]


@given(st.lists(scored, min_size=1))
def test_an_open_case_ends_at_its_most_urgent_severity(later: list[Severity]) -> None:
    current = Severity.UNSCORED
    for severity in later:
        current = open_severity(current, severity)
    assert current is max(later, key=URGENCY_OF_SCORED.__getitem__)
