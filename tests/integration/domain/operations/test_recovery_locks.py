"""Recovery locks cases before pending images, as every other writer does."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import MONDAY

from dermtriage.cases.transitions import lock_cases
from dermtriage.clinics.withdrawal import withdraw_case
from dermtriage.core.enums import CaseState
from dermtriage.core.settings import Settings
from dermtriage.models import PendingImage
from dermtriage.operations.recovery import RecoveryResult, recover


def test_a_withdrawal_and_recovery_of_the_same_case_do_not_wait_for_each_other(
    sessions: sessionmaker[Session], settings: Settings, clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        receipt = factories.receive(session, clinic_id, images=2)
        other = factories.receive(session, clinic_id)
        for image_id in (*receipt.pending_image_ids, *other.pending_image_ids):
            factories.exhaust(session, image_id)

    def run_recovery() -> RecoveryResult:
        with sessions.begin() as session:
            return recover(session, settings, now=MONDAY)

    with ThreadPoolExecutor(1) as pool:
        with sessions.begin() as session:
            lock_cases(session, {receipt.case_id})  # as a withdrawal begins
            recovering = pool.submit(run_recovery)
            with sessions() as watcher:
                while not recovering.done() and not factories.is_blocked(watcher):
                    watcher.rollback()
            withdraw_case(session, clinic_id=clinic_id, case_id=receipt.case_id, now=MONDAY)
        # The case that nobody had locked was not kept waiting.
        assert recovering.result(20).failed == 1
    with sessions() as session:
        assert factories.case(session, receipt).state is CaseState.WITHDRAWN
        assert session.scalars(select(PendingImage)).all() == []
    assert run_recovery().failed == 0
