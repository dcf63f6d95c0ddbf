"""How far a run's release moved the scores of the images that the run scored."""

from collections import Counter

from sqlalchemy import Double, FromClause, Integer, Subquery, and_, cast, func, or_, select, true
from sqlalchemy.orm import Session, aliased

from dermtriage.models import Assessment, Case, Image, Release, RescoreChunk, RescoreRun
from dermtriage.rescoring.reports.report import BINS, Compared, Drift
from dermtriage.rescoring.reports.working_time import written_during_chunk
from dermtriage.rescoring.scope import OPEN, Scope, in_scope


def measure_drift(session: Session, run: RescoreRun) -> Drift:
    """Compare the scores of a run's release with those that counted before, image by image.

    No row says which run had an image scored. If more images of a chunk could be this run's than
    the chunk has scored, another run with the same release may have scored some of them: then
    the images without a new assessment are left out, and if that is not enough, the whole chunk.
    """
    rows = _compared_images(run)
    key = (rows.c.number, rows.c.scored, rows.c.new, rows.c.release, rows.c.bin)
    sums = (
        func.count().label("photographs"),
        func.sum(rows.c.change).label("change"),
        func.sum(func.abs(rows.c.change)).label("absolute_change"),
    )
    binned = select(*key, *sums).group_by(*key).subquery()
    # Per chunk: the number of images with a new assessment, then of all that are compared.
    candidates = func.sum(binned.c.photographs).over(
        partition_by=binned.c.number, order_by=binned.c.new.desc()
    )
    counted = select(binned, candidates.label("candidates")).subquery()
    totals = session.execute(
        select(
            counted.c.release,
            counted.c.bin,
            cast(func.sum(counted.c.photographs), Integer).label("photographs"),
            func.sum(counted.c.change).label("change"),
            func.sum(counted.c.absolute_change).label("absolute_change"),
        )
        .where(counted.c.candidates <= counted.c.scored)
        .group_by(counted.c.release, counted.c.bin)
    ).all()
    histogram, compared = [0] * BINS, Counter[str]()
    for row in totals:
        histogram[row.bin] += row.photographs
        compared[row.release] += row.photographs
    count = compared.total()
    return Drift(
        photographs=count,
        mean=sum(row.change for row in totals) / count if count else None,
        mean_absolute=sum(row.absolute_change for row in totals) / count if count else None,
        histogram=histogram,
        compared=[Compared(release=name, photographs=n) for name, n in compared.most_common()],
    )


def _compared_images(run: RescoreRun) -> Subquery:
    """Return a row for each image that the run may have scored, with the change of its score.

    An image that the run scored has a new assessment (`new`). An image that the release had
    assessed before, as a shadow or for comparison, was only triaged by the run: its assessment
    is older than the release's activation, and it triages the image now.
    """
    scope = Scope.model_validate(run.scope)
    # A case may have been decided since its images were scored.
    cases = in_scope(Scope(kind="all") if scope == OPEN else scope)
    earlier, new = _earlier_assessment(), written_during_chunk()
    change = cast(Assessment.p_severe, Double) - earlier.c.p_severe
    bin_number = cast(func.floor((change + 1) / 2 * BINS), Integer)
    return (
        select(
            RescoreChunk.number,
            RescoreChunk.scored,
            new.label("new"),
            earlier.c.name.label("release"),
            change.label("change"),
            func.least(bin_number, BINS - 1).label("bin"),
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
        .join(earlier, true())
        .where(
            RescoreRun.id == run.id,
            cases,
            or_(
                new,
                and_(
                    Assessment.created_at < Release.activated_at,
                    Image.release_id == RescoreRun.release_id,
                ),
            ),
        )
        .subquery()
    )


def _earlier_assessment() -> FromClause:
    """Return an image's score by another release that has been active, and that release's name.

    It is the release that triages the image; if that is the run's own by now, it is the one that
    was activated last.
    """
    assessment, release = aliased(Assessment), aliased(Release)
    return (
        select(release.name, cast(assessment.p_severe, Double).label("p_severe"))
        .join(release, release.id == assessment.release_id)
        .where(
            assessment.image_id == Image.id,
            assessment.release_id != Assessment.release_id,
            release.activated_at.is_not(None),
        )
        .order_by((assessment.release_id == Image.release_id).desc(), release.activated_at.desc())
        .limit(1)
        .lateral()
    )
