"""One case is read in full, with the assessments that triaged it."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session
from tests import factories
from tests.factories import INDETERMINATE, LOW, MONDAY, SEVERE, case_in_lane

from dermtriage.core.enums import CaseState, ImageType, Outcome, Severity
from dermtriage.core.errors import NotFound
from dermtriage.models import PendingImage, Release
from dermtriage.review.case_detail import read_case
from dermtriage.scoring import recording

HOUR = timedelta(hours=1)


def test_a_case_is_read_in_full(session: Session, clinic_id: UUID, clinician_id: UUID) -> None:
    receipt = factories.receive(
        session, clinic_id, types=[ImageType.OVERVIEW, ImageType.DERMOSCOPIC, ImageType.CLOSE_UP]
    )
    scored, waiting = receipt.pending_image_ids
    scored_image = factories.result(factories.lease_image(session, scored), LOW, disagreement=0.6)
    factories.record(session, [scored_image])
    decision = factories.decide(session, receipt.case_id, clinician_id, Outcome.RETAKE)
    case = read_case(session, case_id=receipt.case_id, now=MONDAY)

    assert case.item.case.id == receipt.case_id
    overview, first, second = case.images
    assert [shown.image.id for shown in case.images] == [i.image_id for i in receipt.images]
    assert (overview.assessment, overview.release_name, overview.reasons) == (None, None, ())
    assert first.assessment is not None
    assert first.assessment.p_severe == pytest.approx(LOW)
    assert (first.release_name, first.reasons) == ("tiny", ("members_disagree",))
    assert (second.image.id, second.assessment) == (waiting, None)
    assert [event.kind for event in case.events] == ["received", "decided"]
    assert list(case.decisions) == [decision]


@pytest.mark.parametrize("mode", ["shadow", "idle", "active"])
def test_the_assessment_shown_is_the_one_that_triaged_and_never_a_shadow_s(
    session: Session, clinic_id: UUID, mode: str
) -> None:
    """Nor does a release that was the shadow when it scored, and is idle or active since."""
    receipt = factories.receive(session, clinic_id)
    (image_id,) = receipt.pending_image_ids
    factories.score(session, image_id, LOW)

    newer = Release(name="newer", manifest={}, manifest_sha256=bytes(32))
    secret = Release(name="secret", manifest={}, manifest_sha256=bytes(32), mode="shadow")
    session.add_all([newer, secret])
    session.add(
        PendingImage(image_id=image_id, case_id=receipt.case_id, priority_rank=0, due_at=MONDAY)
    )
    session.flush()
    lease = factories.lease_image(session, image_id)
    scored_image = factories.result(lease, INDETERMINATE)
    recording.record_scores(session, [scored_image], release_id=newer.id, device="cpu", now=MONDAY)
    scored_image = factories.result(lease, SEVERE)
    recording.insert_assessments(session, [scored_image], release_id=secret.id, device="cpu")
    if mode == "active":
        session.execute(update(Release).values(mode="idle"))
    secret.mode = mode
    session.flush()
    case = read_case(session, case_id=receipt.case_id, now=MONDAY)
    (image,) = case.images
    assert image.release_name == "newer"
    assert image.reasons == ("between_thresholds",)
    assert case.item.case.severity is Severity.INDETERMINATE


@pytest.mark.parametrize("state", CaseState)
def test_a_case_is_read_in_every_state_and_is_overdue_only_while_it_waits(
    session: Session, clinic_id: UUID, state: CaseState
) -> None:
    case_id = case_in_lane(session, clinic_id, 3, MONDAY - HOUR, state=state)
    item = read_case(session, case_id=case_id, now=MONDAY).item
    assert item.overdue == (state in {CaseState.OPEN, CaseState.AWAITING_RETAKE})


def test_an_unknown_case_is_not_found(session: Session) -> None:
    with pytest.raises(NotFound) as missing:
        read_case(session, case_id=uuid4(), now=MONDAY)
    assert missing.value.code == "case_not_found"
