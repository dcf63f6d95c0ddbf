"""A policy file changes what it names, and what is no policy is refused in words."""

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermtriage.core.enums import Severity
from dermtriage.core.errors import RequestRejected
from dermtriage.retriage.policy_change import changed_policy
from dermtriage.retriage.tally import Tally
from dermtriage.triage.policy import Policy

POLICY = Policy(
    lower=0.3,
    upper=0.6,
    disagreement=0.4,
    out_of_scope=0.8,
    due_working_days=(1, 2, 2, 5),
    workdays=frozenset({0, 1, 2}),
    holidays=frozenset({date(2026, 12, 24)}),
    timezone="Europe/Berlin",
)

shares = st.floats(0, 1)


def test_fields_that_are_left_out_stay() -> None:
    assert changed_policy(POLICY, {}) == POLICY
    assert changed_policy(POLICY, {"upper": 1}) == POLICY.model_copy(update={"upper": 1.0})
    assert changed_policy(POLICY, {"out_of_scope": None}).out_of_scope is None


def test_every_field_can_be_changed_as_json_writes_it() -> None:
    other = Policy(
        lower=0.1,
        upper=0.2,
        disagreement=0.5,
        due_working_days=(1, 1, 3, 9),
        workdays=frozenset(range(7)),
        holidays=frozenset({date(2027, 1, 1), date(2027, 5, 1)}),
        timezone="Asia/Tokyo",
    )
    written = json.loads(other.model_dump_json())
    assert set(written) == set(Policy.model_fields)
    assert changed_policy(POLICY, written) == other


@given(shares, shares, shares, st.none() | shares)
def test_thresholds_arrive_as_they_were_written(
    one: float, two: float, disagreement: float, scope: float | None
) -> None:
    lower, upper = sorted((one, two))
    thresholds = {
        "lower": lower,
        "upper": upper,
        "disagreement": disagreement,
        "out_of_scope": scope,
    }
    file = json.loads(json.dumps(thresholds))
    assert changed_policy(POLICY, file) == POLICY.model_copy(update=thresholds)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"uper": 0.7}, "it has no field uper"),
        ({"upper": 1.1}, "upper: "),
        ({"upper": -0.1}, "upper: "),
        ({"upper": float("nan")}, "upper: "),
        ({"upper": "0.7"}, "upper: "),
        ({"upper": True}, "upper: "),
        ({"upper": None}, "upper: "),
        ({"lower": 0.7}, "the lower threshold lies above the upper one"),
        ({"upper": 0.2}, "the lower threshold lies above the upper one"),
        ({"due_working_days": [1, 2, 2]}, "due_working_days"),
        ({"due_working_days": [1, 2, 2, 5.5]}, "due_working_days"),
        ({"due_working_days": [0, 2, 2, 5]}, "due interval"),
        ({"due_working_days": [3, 2, 2, 5]}, "due interval"),
        ({"workdays": []}, "workdays"),
        ({"workdays": [0, 7]}, "workdays are numbers from 0 (Monday) to 6"),
        ({"holidays": ["24.12.2026"]}, "holidays"),
        ({"timezone": "Moon/Crater"}, "timezone"),
        ({"lower": 2, "more": 1}, "it has no field more"),
    ],
)
def test_what_is_no_policy_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RequestRejected) as refused:
        changed_policy(POLICY, changes)
    assert complaint in refused.value.detail
    assert "due_working_days" in refused.value.remedy, "it says which fields there are"


def test_tallies_add_up() -> None:
    pair = (Severity.LOW, Severity.SEVERE)
    total = Tally()
    for tally in (Tally(cases=2, changed=1, lowered=1), Tally(cases=3, recalled=2)):
        tally.transitions[pair] = tally.cases
        total.add(tally)
    assert (total.cases, total.changed, total.recalled, total.lowered) == (5, 1, 2, 1)
    assert total.transitions == {pair: 5}
