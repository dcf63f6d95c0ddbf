"""New and later placements of a case."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tests.triage_strategies import (
    POLICY,
    URGENCY_OF_SCORED,
    images,
    moments,
    policies,
    priorities,
    severities,
)

from dermtriage.cases.placement import Placement, place_again, place_new
from dermtriage.core.enums import (
    Lane,
    Priority,
    Scoring,
    Severity,
)
from dermtriage.triage.case_severity import ImageStatus
from dermtriage.triage.due_times import due_after
from dermtriage.triage.lanes import base_lane
from dermtriage.triage.policy import Policy


def test_a_case_of_overviews_alone_is_unscored_and_high() -> None:
    place = place_new(
        [ImageStatus(Scoring.NOT_SCORED)],
        Priority.ROUTINE,
        datetime(2026, 3, 2, 9, tzinfo=UTC),
        POLICY,
    )
    assert (place.severity, place.lane) == (Severity.UNSCORED, Lane.UNSCORED)


@given(
    st.lists(images(), min_size=1, max_size=4),
    priorities,
    moments,
    st.lists(st.tuples(severities, st.timedeltas(timedelta(), timedelta(days=9))), max_size=8),
    policies(),
)
def test_a_case_while_it_is_open(
    statuses: list[ImageStatus],
    priority: Priority,
    received_at: datetime,
    rescores: list[tuple[Severity, timedelta]],
    policy: Policy,
) -> None:
    """Whatever is triaged whenever, what the design promises of an open case holds."""
    now = received_at
    place = place_new(statuses, priority, received_at, policy)
    placements = [place]
    for latest, waited in rescores:
        now += waited
        place = place_again(place, latest, priority, received_at, now, policy)
        placements.append(place)
        assert place.lane <= base_lane(place.severity, priority)
        assert place.ages_at is None or place.ages_at > now
        assert (place.ages_at is None) == (place.lane <= Lane.UNSCORED)
    for before, after in pairwise(placements):
        if before.severity is not Severity.UNSCORED:
            assert after.severity is not Severity.UNSCORED
            assert URGENCY_OF_SCORED[after.severity] >= URGENCY_OF_SCORED[before.severity]
            assert after.lane <= before.lane
            assert after.due_at <= before.due_at
    assert all(place.due_at >= received_at for place in placements)


@given(moments, st.timedeltas(timedelta(), timedelta(days=30)), priorities, policies())
def test_an_upgrade_is_due_at_the_earlier_of_old_time_and_event_plus_interval(
    received_at: datetime, waited: timedelta, priority: Priority, policy: Policy
) -> None:
    now = received_at + waited
    low = place_new([ImageStatus(Scoring.SCORED, Severity.LOW)], priority, received_at, policy)
    upgraded = place_again(low, Severity.SEVERE, priority, received_at, now, policy)
    assert upgraded.lane == Lane.SEVERE
    assert upgraded.due_at == min(low.due_at, due_after(now, Lane.SEVERE, priority, policy))


def test_the_first_score_counts_from_receipt() -> None:
    monday = datetime(2026, 3, 2, 9, tzinfo=UTC)
    new = place_new([ImageStatus(Scoring.PENDING)], Priority.ROUTINE, monday, POLICY)
    assert (new.severity, new.lane, new.ages_at) == (Severity.UNSCORED, Lane.UNSCORED, None)
    assert new.due_at == datetime(2026, 3, 4, 9, tzinfo=UTC)
    tuesday = monday + timedelta(days=1)
    low = place_again(new, Severity.LOW, Priority.ROUTINE, monday, tuesday, POLICY)
    assert low == Placement(
        Severity.LOW,
        Lane.LOW,
        datetime(2026, 3, 9, 9, tzinfo=UTC),
        datetime(2026, 3, 9, 9, tzinfo=UTC),
    )
    severe = place_again(new, Severity.SEVERE, Priority.ROUTINE, monday, tuesday, POLICY)
    assert (severe.lane, severe.due_at) == (Lane.SEVERE, tuesday)
