"""Explain the severity of an image in words: how many networks agree, and what the policy added."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import exp
from typing import Any

from dermtriage.core.enums import CLASSES, SEVERE_CLASSES, Severity
from dermtriage.triage.image_severity import Finding, triage_image
from dermtriage.triage.policy import Policy

_SEVERE = [CLASSES.index(name) for name in SEVERE_CLASSES]
_SCORED = (Severity.SEVERE, Severity.INDETERMINATE, Severity.LOW)
_WHY = {
    "between_thresholds": "the score {p_severe:.2f} lies between the thresholds"
    " {lower:.2f} and {upper:.2f}",
    "members_disagree": "the kinds of networks are {disagreement:.2f} apart",
    "out_of_scope": "the photograph does not look like those of lesions that they learned from",
}


def member_severities(
    logits: Mapping[str, Sequence[float]], members: Iterable[Mapping[str, Any]]
) -> dict[str, float]:
    """Return each member's own probability of a severe lesion, 0..1.

    Parameters
    ----------
    logits
        Raw output of each member by its name, as an assessment stores it.
    members
        From the release's manifest. The probabilities of a member are softmax(logits /
        temperature + bias).
    """
    return {
        member["name"]: _severe_share(logits[member["name"]], member)
        for member in members
        if member["name"] in logits
    }


def explain(finding: Finding, members: Mapping[str, float], policy: Policy) -> str:
    """Return how the members vote, and why an image is indeterminate if it is.

    Parameters
    ----------
    finding
        Of the whole ensemble.
    members
        Each member's own probability of a severe lesion.
    policy
        Its thresholds apply to the ensemble and to each member.

    Returns
    -------
    str
        Such as ``7 of 8 networks say severe, 1 indeterminate; the score 0.41 lies between the
        thresholds 0.08 and 0.55.``
    """
    votes = Counter(_member_severity(p_severe, policy) for p_severe in members.values())
    counted = [(votes[severity], severity) for severity in _SCORED if votes[severity]]
    clauses = []
    if counted:
        (count, severity), *others = counted
        networks = "network says" if len(members) == 1 else "networks say"
        first = f"{count} of {len(members)} {networks} {severity}"
        clauses.append(", ".join([first, *(f"{n} {other}" for n, other in others)]))
    figures = {
        "p_severe": finding.p_severe,
        "disagreement": finding.disagreement,
        "lower": policy.lower,
        "upper": policy.upper,
    }
    clauses += [_WHY[reason].format(**figures) for reason in triage_image(finding, policy).reasons]
    sentence = "; ".join(clauses)
    return f"{sentence[:1].upper()}{sentence[1:]}." if sentence else ""


def _member_severity(p_severe: float, policy: Policy) -> Severity:
    return triage_image(Finding(p_severe, 0.0), policy).severity


def _severe_share(logits: Sequence[float], member: Mapping[str, Any]) -> float:
    shifted = [
        value / member["temperature"] + bias
        for value, bias in zip(logits, member["bias"], strict=True)
    ]
    highest = max(shifted)
    shares = [exp(value - highest) for value in shifted]
    # Rounding may make the sum of some shares greater than the sum of all.
    return min(1.0, sum(shares[index] for index in _SEVERE) / sum(shares))
