"""Scores of one case, or of the same cases, at the same moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import (
    INDETERMINATE,
    LOW,
    SEVERE,
)

from dermtriage.core.enums import (
    Scoring,
    Severity,
)
from dermtriage.models import Assessment
from dermtriage.operations import invariants


def test_two_images_of_one_case_at_once(sessions: sessionmaker[Session], clinic_id: UUID) -> None:
    """The second waits for the first, and then sees what it wrote."""
    with sessions.begin() as session:
        receipt = factories.receive(session, clinic_id, images=2)
        leases = [
            factories.lease_image(session, image_id) for image_id in receipt.pending_image_ids
        ]

    def record_second() -> int:
        with sessions.begin() as session:
            return factories.record(session, [factories.result(leases[1], LOW)])

    with ThreadPoolExecutor(1) as pool:
        with sessions.begin() as first:
            factories.record(first, [factories.result(leases[0], INDETERMINATE)])
            second = pool.submit(record_second)
            with sessions() as watcher:
                while not factories.is_blocked(watcher) and not second.done():
                    watcher.rollback()
        assert second.result(20) == 1
    with sessions() as session:
        case = factories.case(session, receipt)
        assert (case.severity, case.lane) == (Severity.INDETERMINATE, 2)
        assert invariants.check_invariants(session) == {}


def test_rows_read_before_the_lock_are_read_again(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        receipt = factories.receive(session, clinic_id, images=2)
        one, two = (factories.lease_image(session, i) for i in receipt.pending_image_ids)
    with sessions.begin() as early:
        seen = factories.case(early, receipt)
        assert [image.scoring for image in seen.images] == [Scoring.PENDING] * 2
        with sessions.begin() as other:
            factories.record(other, [factories.result(one, INDETERMINATE)])
        factories.record(early, [factories.result(two, LOW)])
        assert seen.severity is Severity.INDETERMINATE


def test_crossing_batches_neither_deadlock_nor_lose_a_score(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        receipts = [factories.receive(session, clinic_id, images=3) for _ in range(6)]
        leases = {
            image_id: factories.lease_image(session, image_id)
            for receipt in receipts
            for image_id in receipt.pending_image_ids
        }

    def batch(position: int) -> Callable[[], int]:
        order = receipts if position % 2 else receipts[::-1]
        scores = [SEVERE if number == position else LOW for number, _ in enumerate(receipts)]

        def run() -> int:
            results = [
                factories.result(leases[receipt.pending_image_ids[position]], p_severe)
                for receipt, p_severe in zip(order, scores, strict=True)
            ]
            with sessions.begin() as session:
                return factories.record(session, results)

        return run

    assert factories.run_concurrently([batch(position) for position in range(3)]) == [6, 6, 6]
    with sessions() as session:
        severities = [factories.case(session, receipt).severity for receipt in receipts]
        # Positions 0 and 2 went backwards, 1 forwards.
        severe = {5, 3, 1}
        assert [severity is Severity.SEVERE for severity in severities] == [
            number in severe for number in range(6)
        ]
        assert session.scalar(select(func.count()).select_from(Assessment)) == 18
        assert invariants.check_invariants(session) == {}
