"""Planning a run: which images it has, in which chunks, and once a night."""

from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.conftest import RELEASE
from tests.factories import LOW, MONDAY
from tests.runs import (
    activate,
    add_scored_case,
    lease_chunk,
    list_remaining_images,
    plan_run,
)

from dermtriage.core.enums import CaseState, Outcome
from dermtriage.core.settings import Settings
from dermtriage.models import (
    Case,
    Image,
    RescoreChunk,
    RescoreRun,
)
from dermtriage.rescoring import lifecycle, planning
from dermtriage.rescoring.scope import OPEN, Scope


def test_a_run_is_cut_into_chunks_that_cover_its_images_once(
    session: Session, clinic_id: UUID
) -> None:
    cases = [add_scored_case(session, clinic_id, LOW, LOW) for _ in range(4)]
    activate(session)
    run = plan_run(session, size=3)
    rows = session.scalars(select(RescoreChunk).order_by(RescoreChunk.number)).all()
    assert [row.images for row in rows] == [3, 3, 2]
    assert run.images == 8
    images = session.scalars(select(Image.id).where(Image.case_id.in_(cases))).all()
    for image_id in images:
        within = [row for row in rows if row.first_image_id <= image_id <= row.last_image_id]
        assert len(within) == 1


def test_what_the_release_has_scored_is_not_in_a_run(session: Session, clinic_id: UUID) -> None:
    add_scored_case(session, clinic_id, LOW)
    assert plan_run(session, name=RELEASE).images == 0


def test_scopes(session: Session, clinic_id: UUID, clinician_id: UUID) -> None:
    other = factories.clinic(session, "Elsewhere")
    standing = add_scored_case(session, clinic_id, LOW)
    late = add_scored_case(session, other, LOW, now=MONDAY + timedelta(days=3))
    decided = add_scored_case(session, clinic_id, LOW)
    factories.decide(session, decided, clinician_id)
    retake = add_scored_case(session, clinic_id, LOW)
    factories.decide(session, retake, clinician_id, Outcome.RETAKE)
    withdrawn = add_scored_case(session, clinic_id, LOW)
    session.execute(update(Case).where(Case.id == withdrawn).values(state=CaseState.WITHDRAWN))
    factories.receive(session, clinic_id)  # waits for its first score
    release = activate(session)

    def cases(scope: Scope) -> set[UUID]:
        run = plan_run(session, scope)
        chunk = lease_chunk(session) if run.images else None
        found = (
            {one.lease.case_id for one in list_remaining_images(session, chunk)} if chunk else set()
        )
        assert planning.count_images(session, release_id=release.id, scope=scope) == len(found)
        lifecycle.cancel(session, run.id, reason="tests", now=MONDAY)
        return found

    assert cases(OPEN) == {standing, late, retake}
    assert cases(Scope(kind="all")) == {standing, late, retake, decided}
    assert cases(Scope(kind="since", since=MONDAY + timedelta(days=2))) == {late}
    assert cases(Scope(kind="clinic", clinic_id=clinic_id)) == {standing, retake, decided}


def test_a_night_is_planned_once_and_made_up_when_it_was_missed(
    sessions: sessionmaker[Session], clinic_id: UUID, settings: Settings
) -> None:
    with sessions.begin() as session:
        add_scored_case(session, clinic_id, LOW)
        activate(session)
        session.execute(text("UPDATE release_activations SET created_at = '2026-01-01'"))
    late_in_the_morning = datetime(2026, 3, 4, 11, 7, tzinfo=ZoneInfo("UTC"))

    def look() -> UUID | None:
        with sessions.begin() as session:
            run = planning.plan_night(session, settings, now=late_in_the_morning)
            return run.id if run else None

    planned = factories.run_concurrently([look] * 4)
    assert len([one for one in planned if one]) == 1
    assert look() is None
    with sessions() as session:
        (run,) = session.scalars(select(RescoreRun))
        assert (run.night, run.images, run.actor) == (date(2026, 3, 4), 1, "upkeep")
    off = settings.model_copy(update={"rescore_at": ""})
    with sessions.begin() as session:
        tomorrow = late_in_the_morning + timedelta(days=1)
        assert planning.plan_night(session, off, now=tomorrow) is None
        assert planning.plan_night(session, settings, now=tomorrow) is not None


def test_a_new_database_has_missed_no_night(session: Session, settings: Settings) -> None:
    now = session.scalar(select(func.now()))
    assert now is not None
    assert planning.plan_night(session, settings, now=now) is None
    assert planning.plan_night(session, settings, now=now + timedelta(days=1)) is not None


def test_the_night_after_a_change_of_its_hour_is_not_left_out(
    session: Session, settings: Settings
) -> None:
    session.execute(text("UPDATE release_activations SET created_at = '2026-01-01'"))
    late = settings.model_copy(update={"rescore_at": "22:00"})

    def planned(settings: Settings, moment: str) -> bool:
        now = datetime.fromisoformat(f"{moment}Z")
        return planning.plan_night(session, settings, now=now) is not None

    assert planned(settings, "2026-03-04T01:00")
    assert not planned(late, "2026-03-04T15:00")
    assert planned(late, "2026-03-04T22:00")
    # Evening and morning are one night.
    assert not planned(settings, "2026-03-05T01:00")
    assert planned(settings, "2026-03-06T01:00")
