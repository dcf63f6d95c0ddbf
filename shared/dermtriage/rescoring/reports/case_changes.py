"""Which cases a rescore run raised or recalled."""

from collections import Counter

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from dermtriage.core.enums import Severity
from dermtriage.models import RescoreRun, TriageEvent
from dermtriage.triage.case_severity import more_urgent


def count_raised_cases(
    session: Session, run: RescoreRun
) -> tuple[Counter[tuple[Severity, Severity]], int]:
    """Count the cases that a run raised, and those among them that it recalled.

    Each case counts once, with its severity before its first event of the run and after its
    last. The kind of an event would not do: the first score of an unscored case is "scored" also
    if it is severe.

    Returns
    -------
    Counter, int
        Cases by (severity before, severity after), and the number of recalled ones.
    """
    first = aggregate_order_by(TriageEvent.from_severity, TriageEvent.id)
    last = aggregate_order_by(TriageEvent.to_severity, TriageEvent.id.desc())
    by_case = (
        select(
            func.array_agg(first)[1].label("before"),
            func.array_agg(last)[1].label("after"),
            func.bool_or(TriageEvent.kind == "recalled").label("recalled"),
        )
        .where(TriageEvent.run_id == run.id)
        .group_by(TriageEvent.case_id)
        .subquery()
    )
    rows = session.execute(
        select(*by_case.c, func.count().label("cases")).group_by(*by_case.c)
    ).all()
    raised, recalls = Counter[tuple[Severity, Severity]](), 0
    for row in rows:
        if more_urgent(row.after, row.before):
            raised[row.before, row.after] += row.cases
            recalls += row.cases if row.recalled else 0
    return raised, recalls
