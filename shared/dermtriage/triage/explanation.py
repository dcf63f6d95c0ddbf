"""Why an image got its severity, in words: how many networks agree, and what the policy made of it.

Pure: from what an assessment stores, its release's manifest and a policy. No I/O.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import exp
from typing import Any

from dermtriage.core.enums import CLASSES, SEVERE_CLASSES, Severity
from dermtriage.triage.image_severity import Finding, triage_image
from dermtriage.triage.policy import Policy

_SEVERE = [CLASSES.index(name) for name in SEVERE_CLASSES]
_SAID = (Severity.SEVERE, Severity.INDETERMINATE, Severity.LOW)
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
        Of the release's manifest; a member's probabilities are softmax(logits / temperature +
        bias).
    """
    return {
        member["name"]: _severe_share(logits[member["name"]], member)
        for member in members
        if member["name"] in logits
    }


def explain(found: Finding, members: Mapping[str, float], policy: Policy) -> str:
    """Say which members agree, and why an image is indeterminate if it is.

    Parameters
    ----------
    found
        What the ensemble said.
    members
        Each member's own probability of a severe lesion.
    policy
        Whose thresholds judge, the members too.

    Returns
    -------
    str
        Such as ``7 of 8 networks say severe, 1 indeterminate; the score 0.41 lies between the
        thresholds 0.08 and 0.55.``
    """
    triage = triage_image(found, policy)
    votes = Counter(_alone(p_severe, policy) for p_severe in members.values())
    spoken = [f"{votes[said]} {said}" for said in _SAID if votes[said]]
    clauses = []
    if spoken:
        count, said = spoken[0].split()
        networks = "network says" if len(members) == 1 else "networks say"
        clauses.append(", ".join([f"{count} of {len(members)} {networks} {said}", *spoken[1:]]))
    figures = {
        "p_severe": found.p_severe,
        "disagreement": found.disagreement,
        "lower": policy.lower,
        "upper": policy.upper,
    }
    clauses += [_WHY[reason].format(**figures) for reason in triage.reasons]
    sentence = "; ".join(clauses)
    return f"{sentence[:1].upper()}{sentence[1:]}." if sentence else ""


def _alone(p_severe: float, policy: Policy) -> Severity:
    return triage_image(Finding(p_severe, 0.0), policy).severity


def _severe_share(logits: Sequence[float], member: Mapping[str, Any]) -> float:
    shifted = [
        value / member["temperature"] + bias
        for value, bias in zip(logits, member["bias"], strict=True)
    ]
    highest = max(shifted)
    shares = [exp(value - highest) for value in shifted]
    # The sum of some shares may pass the sum of all by the last bit of a float.
    return min(1.0, sum(shares[index] for index in _SEVERE) / sum(shares))
