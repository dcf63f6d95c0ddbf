"""Hypothesis strategies for the rules of triage."""

from datetime import UTC, date, datetime

from hypothesis import strategies as st

from dermtriage.core.enums import (
    Priority,
    Scoring,
    Severity,
)
from dermtriage.triage.case_severity import ImageStatus
from dermtriage.triage.image_severity import Finding
from dermtriage.triage.policy import Policy

POLICY = Policy(lower=0.3, upper=0.6, disagreement=0.4, out_of_scope=0.8)

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Beirut", "Pacific/Apia")

shares = st.floats(0, 1)
scored = st.sampled_from([Severity.SEVERE, Severity.INDETERMINATE, Severity.LOW])
severities = st.sampled_from(Severity)
priorities = st.sampled_from(Priority)
moments = st.datetimes(
    datetime(2000, 1, 1),
    datetime(2039, 1, 1),
    timezones=st.just(UTC),
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    lower, upper = sorted((draw(shares), draw(shares)))
    return Policy(
        lower=lower,
        upper=upper,
        disagreement=draw(shares),
        out_of_scope=draw(st.none() | shares),
        due_working_days=tuple(sorted(draw(st.lists(st.integers(1, 9), min_size=4, max_size=4)))),
        workdays=draw(st.frozensets(st.integers(0, 6), min_size=1)),
        holidays=draw(
            st.frozensets(st.dates(date(2000, 1, 1), date(2039, 1, 1)), max_size=3),
        ),
        timezone=draw(st.sampled_from(ZONES)),
    )


findings = st.builds(Finding, shares, shares, st.none() | shares)


@st.composite
def images(draw: st.DrawFn) -> ImageStatus:
    scoring = draw(st.sampled_from(Scoring))
    return ImageStatus(scoring, draw(scored) if scoring is Scoring.SCORED else None)


URGENCY_OF_SCORED = {Severity.LOW: 0, Severity.INDETERMINATE: 1, Severity.SEVERE: 2}
