"""The audit log: readings of a case, refused ones too, and changes of accounts and keys."""

from typing import Any
from uuid import uuid4

from sqlalchemy import select
from tests.photographs import jpeg

from dermtriage.accounts.clinicians import add_clinician, disable_clinician
from dermtriage.accounts.clinics import add_clinic, revoke_clinic
from dermtriage.models import ApiKey, AuditEntry, Clinic, Clinician


def actions(session: Any, **where: Any) -> list[tuple[str, Any, str]]:
    entries = session.scalars(select(AuditEntry).filter_by(**where).order_by(AuditEntry.id))
    return [(entry.actor_kind, entry.actor_id, entry.action) for entry in entries]


def test_readings_of_a_case_are_audited_and_those_of_strangers_refused(
    api, clinic, other_clinic, clinician
) -> None:
    receipt = api.send(jpeg()).json()
    case_id, image_id = receipt["case_id"], receipt["images"][0]["image_id"]
    missing = other_clinic.get(f"/v1/cases/{uuid4()}")
    refused = other_clinic.get(f"/v1/cases/{case_id}")
    assert other_clinic.post(f"/v1/cases/{case_id}/withdraw").status_code == 404
    assert other_clinic.get(f"/v1/images/{image_id}/rendition").status_code == 404
    assert clinic.get(f"/v1/cases/{case_id}").status_code == 200
    assert clinician.get(f"/v1/cases/{case_id}").status_code == 200

    # The other clinic learns nothing.
    assert refused.json() == missing.json()
    with api.sessions() as session:
        ids = dict(session.execute(select(Clinic.name, Clinic.id)).all())
        own, other = ids["Aldea Norte"], ids["Costa Sur"]
        reader = session.scalar(select(Clinician.id))
        assert actions(session, case_id=case_id) == [
            ("clinic", own, "case.received"),
            *[("clinic", other, "case.refused")] * 3,
            ("clinic", own, "case.viewed"),
            ("clinician", reader, "case.viewed"),
        ]


def test_changes_of_accounts_and_keys_are_audited(session) -> None:
    clinic, key = add_clinic(session, name="Aldea Norte", secret_key="x" * 32)
    revoke_clinic(session, name="Aldea Norte")
    clinician = add_clinician(
        session, username="m.okafor", display_name="Dr", password="four random words here"
    )
    disable_clinician(session, username="m.okafor")

    entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    prefix = session.scalar(select(ApiKey.prefix))
    of_clinic = {"clinic_id": str(clinic.id), "prefix": prefix}
    of_clinician = {"clinician_id": str(clinician.id), "role": "clinician"}
    assert [(entry.actor_kind, entry.action, entry.detail) for entry in entries] == [
        ("operator", "clinic.key_added", of_clinic),
        ("operator", "clinic.key_revoked", of_clinic),
        ("operator", "clinician.added", of_clinician),
        ("operator", "clinician.disabled", of_clinician),
    ]
    assert key not in str([entry.detail for entry in entries])
