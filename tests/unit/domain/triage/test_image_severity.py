"""The severity of one image."""

from dataclasses import replace

import pytest
from hypothesis import given
from tests.triage_strategies import (
    POLICY,
    findings,
    policies,
    shares,
)

from dermtriage.core.enums import (
    Severity,
)
from dermtriage.triage.case_severity import more_urgent
from dermtriage.triage.image_severity import Finding, triage_image
from dermtriage.triage.policy import Policy


@pytest.mark.parametrize(
    ("p_severe", "severity"),
    [
        (0.0, Severity.LOW),
        (0.2999, Severity.LOW),
        (0.3, Severity.INDETERMINATE),
        (0.5999, Severity.INDETERMINATE),
        (0.6, Severity.SEVERE),
        (1.0, Severity.SEVERE),
    ],
)
def test_thresholds_belong_to_the_more_urgent_side(p_severe: float, severity: Severity) -> None:
    assert triage_image(Finding(p_severe, 0.0), POLICY).severity is severity


@pytest.mark.parametrize(
    ("finding", "reasons"),
    [
        (Finding(0.1, 0.4, 0.8), ()),
        (Finding(0.1, 0.41), ("members_disagree",)),
        (Finding(0.1, 0.1, 0.81), ("out_of_scope",)),
        (Finding(0.1, 0.41, 0.81), ("members_disagree", "out_of_scope")),
        (Finding(0.4, 0.1), ("between_thresholds",)),
        (Finding(0.4, 0.41, 0.81), ("between_thresholds", "members_disagree", "out_of_scope")),
        (Finding(0.7, 0.41, 0.81), ()),
    ],
)
def test_reasons_name_what_made_an_image_indeterminate(
    finding: Finding, reasons: tuple[str, ...]
) -> None:
    assert triage_image(finding, POLICY).reasons == reasons


@given(findings, policies())
def test_disagreement_and_scope_raise_low_and_nothing_else(
    finding: Finding, policy: Policy
) -> None:
    by_score = triage_image(Finding(finding.p_severe, 0.0), policy).severity
    triaged = triage_image(finding, policy).severity
    doubtful = finding.disagreement > policy.disagreement or (
        policy.out_of_scope is not None
        and finding.out_of_scope is not None
        and finding.out_of_scope > policy.out_of_scope
    )
    if by_score is Severity.LOW and doubtful:
        assert triaged is Severity.INDETERMINATE
    else:
        assert triaged is by_score


@given(findings, policies(), shares)
def test_a_higher_score_is_never_less_urgent(finding: Finding, policy: Policy, p: float) -> None:
    low, high = sorted((finding.p_severe, p))
    before = triage_image(replace(finding, p_severe=low), policy).severity
    after = triage_image(replace(finding, p_severe=high), policy).severity
    assert not more_urgent(before, after)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 1.1])
def test_a_finding_holds_probabilities_alone(value: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Finding(value, 0)
