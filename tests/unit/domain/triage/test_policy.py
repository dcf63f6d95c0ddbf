"""Policies: stored, and refused."""

from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError
from tests.triage_strategies import policies

from dermtriage.triage.policy import Policy


@given(policies())
def test_a_policy_survives_its_storage(policy: Policy) -> None:
    assert Policy.model_validate(policy.model_dump(mode="json")) == policy


@pytest.mark.parametrize(
    "wrong",
    [
        {"lower": 0.7},
        {"lower": -0.1},
        {"upper": 1.1},
        {"upper": float("nan")},
        {"disagreement": 2},
        {"out_of_scope": -1},
        {"due_working_days": (0, 1, 2, 3)},
        {"due_working_days": (2, 1, 2, 5)},
        {"due_working_days": (1, 2, 2)},
        {"workdays": frozenset()},
        {"workdays": {7}},
        {"timezone": "Europe/Atlantis"},
        {"timezone": "../etc/passwd"},
        {"timezone": ""},
        {"surprise": 1},
    ],
    ids=str,
)
def test_an_invalid_policy_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Policy(**{"lower": 0.3, "upper": 0.6, "disagreement": 0.4} | wrong)
