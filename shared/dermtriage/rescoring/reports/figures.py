"""What a rescore run did to cases and scores, and how long it worked; asked of stored rows."""

from collections import Counter
from datetime import timedelta

from sqlalchemy import (
    ColumnElement,
    Double,
    FromClause,
    Integer,
    Subquery,
    and_,
    cast,
    func,
    or_,
    select,
    true,
    union,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session, aliased

from dermtriage.core.enums import Severity
from dermtriage.models import (
    Assessment,
    Case,
    Image,
    Release,
    RescoreChunk,
    RescoreFailure,
    RescoreRun,
    TriageEvent,
)
from dermtriage.rescoring.reports.report import BINS, STANDSTILL, Compared, Drift
from dermtriage.rescoring.scope import OPEN, Scope, within
from dermtriage.triage.case_severity import more_urgent


def working_time(session: Session, run: RescoreRun) -> timedelta:
    """Add up the times between a run's writes, but for those in which it stood still."""
    moments = union(
        select(RescoreRun.started_at.label("at")).where(RescoreRun.id == run.id),
        select(RescoreChunk.done_at).where(RescoreChunk.run_id == run.id),
        select(RescoreFailure.at).where(RescoreFailure.run_id == run.id),
        select(Assessment.created_at)
        .join(RescoreRun, RescoreRun.release_id == Assessment.release_id)
        .join(
            RescoreChunk,
            Assessment.image_id.between(RescoreChunk.first_image_id, RescoreChunk.last_image_id),
        )
        .where(RescoreRun.id == run.id, RescoreChunk.run_id == run.id, _meanwhile()),
    ).subquery()
    since_last = moments.c.at - func.lag(moments.c.at).over(order_by=moments.c.at)
    waits = select(since_last.label("wait")).subquery()
    worked = select(func.sum(waits.c.wait)).where(waits.c.wait <= STANDSTILL)
    return session.scalar(worked) or timedelta()


def rises(session: Session, run: RescoreRun) -> tuple[Counter[tuple[Severity, Severity]], int]:
    """Count the cases that a run raised, by severity before and after, and those it recalled.

    The kind of an event does not tell: the first score of an unscored case is "scored" also where
    it is severe. And a case may rise twice in a run.
    """
    first = aggregate_order_by(TriageEvent.from_severity, TriageEvent.id)
    last = aggregate_order_by(TriageEvent.to_severity, TriageEvent.id.desc())
    of_case = (
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
        select(*of_case.c, func.count().label("cases")).group_by(*of_case.c)
    ).all()
    counted, recalls = Counter[tuple[Severity, Severity]](), 0
    for row in rows:
        if more_urgent(row.after, row.before):
            counted[row.before, row.after] += row.cases
            recalls += row.cases if row.recalled else 0
    return counted, recalls


def drift(session: Session, run: RescoreRun) -> Drift:
    """Compare what the run's release said with what counted before, image by image.

    No row tells which run had an image scored. Where more images of a chunk could be this run's
    than it scored, those are left out that another run with its release may have done: first
    those without a new assessment, then the whole chunk.
    """
    rows = _compared(run)
    key = (rows.c.number, rows.c.scored, rows.c.fresh, rows.c.release, rows.c.bin)
    sums = (
        func.count().label("photographs"),
        func.sum(rows.c.moved).label("moved"),
        func.sum(func.abs(rows.c.moved)).label("size"),
    )
    binned = select(*key, *sums).group_by(*key).subquery()
    possible = func.sum(binned.c.photographs).over(
        partition_by=binned.c.number, order_by=binned.c.fresh.desc()
    )
    known = select(binned, possible.label("possible")).subquery()
    figures = session.execute(
        select(
            known.c.release,
            known.c.bin,
            cast(func.sum(known.c.photographs), Integer).label("photographs"),
            func.sum(known.c.moved).label("moved"),
            func.sum(known.c.size).label("size"),
        )
        .where(known.c.possible <= known.c.scored)
        .group_by(known.c.release, known.c.bin)
    ).all()
    histogram, compared = [0] * BINS, Counter[str]()
    for row in figures:
        histogram[row.bin] += row.photographs
        compared[row.release] += row.photographs
    total = compared.total()
    return Drift(
        photographs=total,
        mean=sum(row.moved for row in figures) / total if total else None,
        mean_absolute=sum(row.size for row in figures) / total if total else None,
        histogram=histogram,
        compared=[
            Compared(release=name, photographs=count) for name, count in compared.most_common()
        ],
    )


def _compared(run: RescoreRun) -> Subquery:
    """Return a row for each photograph that the run may have scored, with how far it moved.

    A photograph that was scored has a new assessment (`fresh`). One that the release had assessed
    as a shadow, or to be compared, only got its triage: its assessment is older than the
    release's activation, and triages now.
    """
    scope = Scope.model_validate(run.scope)
    # A case may have been decided since its photographs were scored.
    cases = within(Scope(kind="all") if scope == OPEN else scope)
    before, fresh = _before(), _meanwhile()
    moved = cast(Assessment.p_severe, Double) - before.c.p_severe
    place = cast(func.floor((moved + 1) / 2 * BINS), Integer)
    return (
        select(
            RescoreChunk.number,
            RescoreChunk.scored,
            fresh.label("fresh"),
            before.c.name.label("release"),
            moved.label("moved"),
            func.least(place, BINS - 1).label("bin"),
        )
        .select_from(RescoreRun)
        .join(Release, Release.id == RescoreRun.release_id)
        .join(RescoreChunk, RescoreChunk.run_id == RescoreRun.id)
        .join(
            Assessment,
            and_(
                Assessment.release_id == RescoreRun.release_id,
                Assessment.image_id.between(
                    RescoreChunk.first_image_id, RescoreChunk.last_image_id
                ),
            ),
        )
        .join(Image, Image.id == Assessment.image_id)
        .join(Case, Case.id == Image.case_id)
        .join(before, true())
        .where(
            RescoreRun.id == run.id,
            cases,
            or_(
                fresh,
                and_(
                    Assessment.created_at < Release.activated_at,
                    Image.release_id == RescoreRun.release_id,
                ),
            ),
        )
        .subquery()
    )


def _meanwhile() -> ColumnElement[bool]:
    """Return the condition that an assessment was written while its chunk was worked off."""
    return Assessment.created_at.between(
        RescoreRun.started_at, func.coalesce(RescoreChunk.done_at, RescoreRun.ended_at)
    )


def _before() -> FromClause:
    """Return what counted of an image before: by another release that has been active.

    That is the one that triages it, unless the run's does so now; then the one activated last.
    """
    said, release = aliased(Assessment), aliased(Release)
    return (
        select(release.name, cast(said.p_severe, Double).label("p_severe"))
        .join(release, release.id == said.release_id)
        .where(
            said.image_id == Image.id,
            said.release_id != Assessment.release_id,
            release.activated_at.is_not(None),
        )
        .order_by((said.release_id == Image.release_id).desc(), release.activated_at.desc())
        .limit(1)
        .lateral()
    )
