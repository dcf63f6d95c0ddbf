"""What the report of a rescore run says in words, in the terminal and on the page."""

from dermtriage.rescoring.reports import STANDSTILL, RunReport


def duration(seconds: float) -> str:
    """Return a duration as people say it, from seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def on_throughput(report: RunReport) -> str:
    """Return what time the photographs a second are counted over."""
    if report.working_seconds is None:
        return "Whatever the run waited for is counted."
    minutes = STANDSTILL.seconds // 60
    return f"Waits of more than {minutes} minutes without a write are not counted as work."


def on_triage(report: RunReport) -> str | None:
    """Return what became of the scores of a release that was not the active one."""
    if report.triaged:
        return None
    what = (
        "What it changed before stands."
        if report.transitions
        else "No case was changed, its scores are kept for comparison."
    )
    return f"The release was not the active one when the report was written. {what}"


def on_drift(report: RunReport) -> str:
    """Return what the scores were compared with, and how far they moved."""
    drift = report.drift
    if drift.mean is None or drift.mean_absolute is None:
        said = f"None of {report.scored:,} scored photographs was compared with another release."
    else:
        names = ", ".join(f"{one.release} ({one.photographs:,})" for one in drift.compared)
        said = (
            f"p(severe) moved by {drift.mean:+.3f} in the mean, and by {drift.mean_absolute:.3f}"
            f" without the sign, over {drift.photographs:,} of {report.scored:,} scored"
            f" photographs. Compared with {names or 'the release before'}."
        )
    if drift.photographs < report.scored and report.working_seconds is not None:
        said += (
            " Left out is what was withdrawn, and what cannot be told from the work of another"
            " run with the same release."
        )
    return said
