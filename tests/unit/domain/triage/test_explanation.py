"""Why an image got its severity, in words."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermtriage.core.enums import CLASSES, SEVERE_CLASSES
from dermtriage.triage.explanation import explain, member_severities
from dermtriage.triage.image_severity import Finding
from dermtriage.triage.policy import Policy

POLICY = Policy(lower=0.1, upper=0.5, disagreement=0.3, out_of_scope=0.5)


def test_members_that_agree_are_counted() -> None:
    members = {f"m{index}": 0.9 for index in range(7)} | {"m7": 0.3}
    assert explain(Finding(0.8, 0.1), members, POLICY) == (
        "7 of 8 networks say severe, 1 indeterminate."
    )


def test_the_reasons_for_indeterminate_are_given() -> None:
    members = {"a": 0.6, "b": 0.05, "c": 0.2}
    assert explain(Finding(0.25, 0.4, 0.7), members, POLICY) == (
        "1 of 3 networks say severe, 1 indeterminate, 1 low; the score 0.25 lies between the"
        " thresholds 0.10 and 0.50; the kinds of networks are 0.40 apart; the photograph does not"
        " look like those of lesions that they learned from."
    )


def test_a_low_score_is_raised_for_a_reason() -> None:
    explanation = explain(Finding(0.02, 0.0, 0.9), {"a": 0.02}, POLICY)
    assert explanation == (
        "1 of 1 network says low; the photograph does not look like those of lesions that they"
        " learned from."
    )


def test_without_members_there_are_no_votes() -> None:
    assert explain(Finding(0.01, 0.0), {}, POLICY) == ""
    assert explain(Finding(0.2, 0.0), {}, POLICY).startswith("The score 0.20 lies between")


def test_a_members_probability_is_that_of_its_logits() -> None:
    logits = [0.1 * index for index in range(len(CLASSES))]
    member = {"name": "a", "temperature": 2.0, "bias": [0.5, 0, 0, 0, 0, 0, 0]}
    shares = [
        math.exp(value / 2 + bias) for value, bias in zip(logits, member["bias"], strict=True)
    ]
    severe = sum(
        share for share, name in zip(shares, CLASSES, strict=True) if name in SEVERE_CLASSES
    )
    own = member_severities({"a": logits, "gone": logits}, [member, member | {"name": "b"}])
    assert own == {"a": pytest.approx(severe / sum(shares))}


@given(
    st.lists(st.floats(-1e4, 1e4), min_size=len(CLASSES), max_size=len(CLASSES)),
    st.floats(0.05, 20),
)
def test_it_is_a_probability_whatever_the_logits(logits: list[float], temperature: float) -> None:
    member = {"name": "a", "temperature": temperature, "bias": [0.0] * len(CLASSES)}
    (p_severe,) = member_severities({"a": logits}, [member]).values()
    assert 0 <= p_severe <= 1
