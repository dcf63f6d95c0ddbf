"""Scores for all images of a case, and later scores by another release."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from tests import factories
from tests.factories import MONDAY

from dermtriage.intake.receipts import Receipt
from dermtriage.models import PendingImage, Release
from dermtriage.scoring.recording import record_scores


def score_all(session: Session, receipt: Receipt, *scores: float, now: datetime = MONDAY) -> None:
    """Score the images of a case in their order, as far as there are scores."""
    for image_id, p_severe in zip(receipt.pending_image_ids, scores, strict=False):
        factories.score(session, image_id, p_severe, now)


def rescore(session: Session, receipt: Receipt, p_severe: float, now: datetime) -> None:
    """Score the first image again with a newer release, as a rescore run does."""
    count = session.scalar(select(func.count()).select_from(Release))
    release = Release(name=f"newer {count}", manifest={}, manifest_sha256=bytes(32))
    image_id = receipt.pending_image_ids[0]
    session.add(release)
    session.add(
        PendingImage(image_id=image_id, case_id=receipt.case_id, priority_rank=0, due_at=now)
    )
    session.flush()
    scored = [factories.result(factories.lease_image(session, image_id), p_severe)]
    assert record_scores(session, scored, release_id=release.id, device="cpu", now=now) == 1
