"""One case, or one image, as its clinic reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from dermtriage.cases.decisions import current_decision
from dermtriage.core.errors import NotFound
from dermtriage.imaging.retake_advice import QualityReason
from dermtriage.models import Case, Decision, Image
from dermtriage.scoring.assessments import retake_reasons


@dataclass(frozen=True, slots=True)
class OwnCase:
    """A case with its current decision, if it has one."""

    case: Case
    outcome: Decision | None
    retake: Mapping[UUID, tuple[QualityReason, ...]]
    """By image id, why the photograph should be taken again."""


class OtherClinicsCase(NotFound):
    """A clinic asked for another clinic's case; it is told that there is none.

    Attributes
    ----------
    clinic_id, case_id
        Who asked for what, for the audit log.
    """

    def __init__(self, error: NotFound, clinic_id: UUID, case_id: UUID) -> None:
        super().__init__(error.detail, remedy=error.remedy, code=error.code)
        self.clinic_id = clinic_id
        self.case_id = case_id


def own_case(session: Session, *, clinic_id: UUID, case_id: UUID) -> OwnCase:
    """Return a case of this clinic.

    Raises
    ------
    NotFound
        If there is none.
    OtherClinicsCase
        If it is another clinic's.
    """
    case = find_case(session, clinic_id=clinic_id, case_id=case_id)
    return OwnCase(case, current_decision(session, case.id), retake_reasons(session, case.images))


def find_case(session: Session, *, clinic_id: UUID, case_id: UUID, lock: bool = False) -> Case:
    """Return a case of this clinic with its images, as the database has it now.

    Parameters
    ----------
    lock
        Whether to lock it until the caller's transaction ends.

    Raises
    ------
    NotFound
        If there is none.
    OtherClinicsCase
        If it is another clinic's.
    """
    statement = (
        select(Case)
        .where(Case.id == case_id, Case.clinic_id == clinic_id)
        .options(selectinload(Case.images))
        .execution_options(populate_existing=True)
    )
    case = session.scalar(statement.with_for_update(of=Case) if lock else statement)
    if case is None:
        missing = NotFound("There is no such case.", remedy="Check its id.", code="case_not_found")
        raise _refusal(
            missing, clinic_id, session.scalar(select(Case.id).where(Case.id == case_id))
        )
    return case


def own_image(session: Session, *, clinic_id: UUID, image_id: UUID) -> Image:
    """Return an image of this clinic.

    Raises
    ------
    NotFound
        If there is none.
    OtherClinicsCase
        If it is another clinic's.
    """
    image = session.scalar(
        select(Image).join(Image.case).where(Image.id == image_id, Case.clinic_id == clinic_id)
    )
    if image is None:
        missing = NotFound(
            "There is no such image.", remedy="Check its id.", code="image_not_found"
        )
        other = session.scalar(select(Image.case_id).where(Image.id == image_id))
        raise _refusal(missing, clinic_id, other)
    return image


def _refusal(missing: NotFound, clinic_id: UUID, case_id: UUID | None) -> NotFound:
    return missing if case_id is None else OtherClinicsCase(missing, clinic_id, case_id)
