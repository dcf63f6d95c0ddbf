"""A clinic reads its own cases, and no other."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy.orm import Session
from tests import factories

from dermtriage.clinics.own_cases import own_case, own_image
from dermtriage.core.enums import Outcome
from dermtriage.core.errors import NotFound


def test_a_clinic_reads_its_own_case_with_its_current_decision(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id, images=2)
    own = own_case(session, clinic_id=clinic_id, case_id=receipt.case_id)
    assert (own.case.id, own.outcome) == (receipt.case_id, None)
    assert [image.id for image in own.case.images] == [i.image_id for i in receipt.images]
    factories.decide(session, receipt.case_id, clinician_id, Outcome.REFER_ROUTINE)
    last = factories.decide(session, receipt.case_id, clinician_id, Outcome.RETAKE)
    own = own_case(session, clinic_id=clinic_id, case_id=receipt.case_id)
    assert own.outcome is last


def test_another_clinic_s_case_is_as_unknown_as_one_that_does_not_exist(
    session: Session, clinic_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    other = factories.clinic(session)
    answers = []
    for case_id in (receipt.case_id, uuid4()):
        with pytest.raises(NotFound) as missing:
            own_case(session, clinic_id=other, case_id=case_id)
        answers.append((missing.value.code, str(missing.value)))
    assert answers[0] == answers[1]
    assert answers[0][0] == "case_not_found"


def test_a_clinic_reads_only_its_own_images(session: Session, clinic_id: UUID) -> None:
    image_id = factories.receive(session, clinic_id).images[0].image_id
    assert own_image(session, clinic_id=clinic_id, image_id=image_id).id == image_id
    other = factories.clinic(session)
    for owner, wanted in ((other, image_id), (clinic_id, uuid4())):
        with pytest.raises(NotFound) as missing:
            own_image(session, clinic_id=owner, image_id=wanted)
        assert missing.value.code == "image_not_found"
