"""The same request sent twice makes one case."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import MONDAY, photograph
from tests.integration.domain.intake.contents import row_counts, stored_files

from dermtriage.core.enums import ImageType
from dermtriage.core.errors import IdempotencyMismatch
from dermtriage.core.settings import Settings
from dermtriage.intake.receipts import Receipt
from dermtriage.models import Case, Image, IntakeRequest
from dermtriage.storage.image_store import ImageStore

OVERVIEW = ImageType.OVERVIEW


def test_the_same_request_twice_makes_one_case(
    sessions: sessionmaker[Session], store: ImageStore, settings: Settings, clinic_id: UUID
) -> None:
    def send() -> Receipt:
        with sessions.begin() as session:
            return factories.receive(
                session,
                clinic_id,
                store=store,
                files=[photograph(1), photograph(2)],
                key="a key",
                now=MONDAY,
                patient_id="p",
            )

    first = send()
    before = row_counts(sessions), stored_files(settings)
    again = send()
    assert again == replace(first, created=False)
    assert again.pending_image_ids == []
    assert (row_counts(sessions), stored_files(settings)) == before


@pytest.mark.parametrize(
    "other",
    [
        {"files": [photograph(2)]},
        {"files": [photograph(1), photograph(2)]},
        {"priority": "stat"},
        {"patient_id": "somebody else"},
        {"types": [OVERVIEW]},
    ],
    ids="".join,
)
def test_the_same_key_with_other_content_is_refused(
    sessions: sessionmaker[Session],
    store: ImageStore,
    settings: Settings,
    clinic_id: UUID,
    other: dict[str, Any],
) -> None:
    request = {"files": [photograph(1)], "key": "a key", "store": store}
    with sessions.begin() as session:
        factories.receive(session, clinic_id, **request)
    before = row_counts(sessions), stored_files(settings)
    with pytest.raises(IdempotencyMismatch) as refused, sessions.begin() as session:
        factories.receive(session, clinic_id, **request | other)
    assert refused.value.code == "idempotency_key_reused"
    assert (row_counts(sessions), stored_files(settings)) == before


def test_two_clinics_may_use_the_same_key(sessions: sessionmaker[Session], clinic_id: UUID) -> None:
    with sessions.begin() as session:
        other = factories.clinic(session)
        one = factories.receive(session, clinic_id, key="a key")
        two = factories.receive(session, other, key="a key")
    assert two.created
    assert one.case_id != two.case_id


def test_a_repeat_that_missed_the_first_s_commit_gets_its_receipt(
    sessions: sessionmaker[Session], store: ImageStore, settings: Settings, clinic_id: UUID
) -> None:
    first: list[Receipt] = []

    class FirstFinishesMeanwhile(ImageStore):
        """A store in which the photographs of a request arrive just after its first sending."""

        def put_original(self, image_id: UUID, data: bytes) -> None:
            if not first:
                first.append(factories.submit(sessions, store, clinic_id))
            super().put_original(image_id, data)

    late = FirstFinishesMeanwhile(settings.store_url, 1, sessions)
    repeated = factories.submit(sessions, late, clinic_id)
    assert repeated == replace(first[0], created=False)
    assert len(stored_files(settings)) == 1


def test_a_repeat_waits_for_the_first_s_commit(
    sessions: sessionmaker[Session], store: ImageStore, settings: Settings, clinic_id: UUID
) -> None:
    with ThreadPoolExecutor() as threads, sessions.begin() as session:
        receipt = factories.receive(
            session, clinic_id, store=store, files=[photograph(1)], key="a key"
        )
        repeat = threads.submit(factories.submit, sessions, store, clinic_id)
        factories.wait_until_blocked(sessions)
        # Another key is no conflict.
        assert factories.submit(sessions, store, clinic_id, key="another key").created
        session.commit()
        assert repeat.result() == replace(receipt, created=False)
    assert len(stored_files(settings)) == 2


def test_a_request_that_failed_may_be_sent_again(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions() as session:
        factories.receive(session, clinic_id, key="a key")
        session.rollback()
    with sessions.begin() as session:
        assert factories.receive(session, clinic_id, key="a key").created


def test_simultaneous_repeats_make_one_case(
    sessions: sessionmaker[Session], store: ImageStore, settings: Settings, clinic_id: UUID
) -> None:
    receipts = factories.run_concurrently(
        [lambda: factories.submit(sessions, store, clinic_id)] * 6
    )
    assert sum(receipt.created for receipt in receipts) == 1
    assert len({receipt.case_id for receipt in receipts}) == 1
    assert len(stored_files(settings)) == 1
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(Case)) == 1
        assert session.scalar(select(func.count()).select_from(Image)) == 1


def test_the_intake_request_refers_to_its_case(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        receipt = factories.receive(session, clinic_id, key="a key")
        request = session.get_one(IntakeRequest, (clinic_id, "a key"))
        assert request.case_id == receipt.case_id
