"""When a decided case is reopened by a later score."""

from dermtriage.core.enums import Outcome, Severity


def needs_recall(
    latest: Severity, severity_at_decision: Severity, outcome: Outcome, already_recalled: bool
) -> bool:
    """Whether a decided case is to be read again because a later score is severe.

    Parameters
    ----------
    latest
        The severity of the case by all of its images now.
    severity_at_decision, outcome
        Of the current decision.
    already_recalled
        Whether that decision has been recalled before: it is recalled once at most.
    """
    return (
        latest is Severity.SEVERE
        and severity_at_decision is not Severity.SEVERE
        and outcome is not Outcome.REFER_URGENT
        and not already_recalled
    )
