"""The sentences of a rescore report, in the terminal and on the page."""

from dermtriage.rescoring.reports.report import MAX_GAP, RunReport


def duration(seconds: float) -> str:
    """Return a duration in hours, minutes and seconds as text."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def throughput_sentence(report: RunReport) -> str:
    """Return which time counts for the photographs per second."""
    if report.working_seconds is None:
        return "Waiting time is counted."
    minutes = MAX_GAP.seconds // 60
    return f"Pauses of more than {minutes} minutes without a result are not counted as work."


def triage_sentence(report: RunReport) -> str | None:
    """Return how the scores of a release that was not active were used; None for the active one."""
    if report.triaged:
        return None
    what = (
        "Changes that it made while it was active stay."
        if report.transitions
        else "It changed no case; its scores are kept for comparison."
    )
    return f"The release was not active when the report was written. {what}"


def drift_sentence(report: RunReport) -> str:
    """Return how far the scores changed, and from which releases."""
    drift = report.drift
    if drift.mean is None or drift.mean_absolute is None:
        text = f"None of the {report.scored:,} scored photographs has a score of another release."
    else:
        names = ", ".join(f"{one.release} ({one.photographs:,})" for one in drift.compared)
        text = (
            f"Change of p(severe): mean {drift.mean:+.3f}, mean absolute {drift.mean_absolute:.3f},"
            f" over {drift.photographs:,} of {report.scored:,} scored photographs."
            f" Compared with {names or 'the release before'}."
        )
    if drift.photographs < report.scored and report.working_seconds is not None:
        text += (
            " Left out are withdrawn photographs, and those that another run with the same"
            " release may have scored."
        )
    return text
