"""The constraints of the tables refuse rows that break an invariant."""

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from tests import factories
from tests.conftest import Servers

from dermtriage import models
from dermtriage.core.settings import Settings
from dermtriage.database.engine import make_engine, make_sessions


@pytest.fixture(scope="module")
def valid_rows(servers: Servers) -> Iterator[Engine]:
    """A database with one of everything, shared by all parameters: each rolls back."""
    with servers.new_database() as url:
        engine = make_engine(Settings(database_url=url))
        with make_sessions(engine).begin() as session:
            _add_one_row_of_each(session)
        yield engine
        engine.dispose()


def _add_one_row_of_each(session: Session) -> None:
    clinic_id, clinician_id = factories.clinic(session), factories.clinician(session)
    receipt = factories.receive(session, clinic_id, images=2, key="a key")
    first, _ = receipt.pending_image_ids
    factories.score(session, first, factories.LOW)
    factories.lease_image(session, receipt.pending_image_ids[1])
    decision = models.Decision(
        case_id=receipt.case_id,
        clinician_id=clinician_id,
        outcome="refer_routine",
        severity_at_decision="low",
        triage_version=0,
        claim_token=1,
    )
    session.add(decision)
    session.flush()
    session.add(
        models.Decision(
            case_id=receipt.case_id,
            clinician_id=clinician_id,
            outcome="refer_urgent",
            severity_at_decision="low",
            triage_version=0,
            claim_token=2,
            supersedes_id=decision.id,
        )
    )
    session.add(models.Release(name="next", manifest={}, manifest_sha256=bytes(32)))
    older = models.PolicyVersion(body={}, reason="an older one", active=False)
    session.add_all([older, models.Release(name="last", manifest={}, manifest_sha256=bytes(32))])
    session.flush()
    next_id, last_id = session.scalars(
        select(models.Release.id).where(models.Release.mode == "idle").order_by(models.Release.id)
    )
    session.add(
        models.ReleaseActivation(
            release_id=last_id,
            previous_release_id=next_id,
            policy_id=older.id,
            actor="m.okafor",
            override_reason="the measured lesions are not ours",
        )
    )
    session.add(models.ApiKey(clinic_id=clinic_id, prefix="p", key_hash=bytes(32)))
    session.add(
        models.ClinicianSession(
            clinician_id=clinician_id, token_hash=bytes(32), expires_at=factories.MONDAY
        )
    )
    session.add(
        models.Worker(
            hostname="h",
            pid=1,
            slots=1,
            device="cpu",
            release="tiny",
            heartbeat_at=factories.MONDAY,
        )
    )
    session.add(
        models.ReviewClaim(
            case_id=receipt.case_id,
            clinician_id=clinician_id,
            token=1,
            expires_at=factories.MONDAY,
        )
    )


REFUSED = {
    # values
    "ck_cases_state": "UPDATE cases SET state = 'lost'",
    "ck_cases_severity": "UPDATE cases SET severity = 'mild'",
    "ck_cases_latest_severity": "UPDATE cases SET latest_severity = 'mild'",
    "ck_cases_priority": "UPDATE cases SET priority = 'whenever'",
    "ck_images_image_type": "UPDATE images SET image_type = 'selfie'",
    "ck_images_scoring": "UPDATE images SET scoring = 'lost', severity = NULL",
    "ck_images_severity": "UPDATE images SET severity = 'mild' WHERE scoring = 'scored'",
    "ck_clinicians_role": "UPDATE clinicians SET role = 'nobody'",
    "ck_decisions_outcome": "UPDATE decisions SET outcome = 'wait'",
    "ck_decisions_severity_at_decision": "UPDATE decisions SET severity_at_decision = 'mild'",
    "ck_decisions_read_kind": "UPDATE decisions SET read_kind = 'third'",
    "ck_releases_mode": "UPDATE releases SET mode = 'on' WHERE name = 'next'",
    "ck_audit_log_actor_kind": "UPDATE audit_log SET actor_kind = 'robot'",
    "ck_triage_events_kind": "UPDATE triage_events SET kind = 'guessed'",
    "ck_triage_events_from_severity": "UPDATE triage_events SET from_severity = 'mild'",
    "ck_triage_events_to_severity": "UPDATE triage_events SET to_severity = 'mild'",
    "ck_triage_events_from_state": "UPDATE triage_events SET from_state = 'lost'",
    "ck_triage_events_to_state": "UPDATE triage_events SET to_state = 'lost'",
    # lanes are never less urgent than severity and priority
    "ck_cases_lane": "UPDATE cases SET severity = 'low', lane = 4",
    "ck_cases_lane below": "UPDATE cases SET lane = -1",
    "ck_cases_lane_0_kept": "UPDATE cases SET severity = 'severe', lane = 1",
    "ck_cases_lane_0_kept stat": "UPDATE cases SET priority = 'stat', lane = 1",
    "ck_cases_lane_0_kept asap": "UPDATE cases SET priority = 'asap', lane = 1",
    "ck_cases_unscored_is_high": "UPDATE cases SET severity = 'unscored', lane = 2",
    "ck_cases_lane_2_kept": "UPDATE cases SET severity = 'indeterminate', lane = 3",
    "ck_cases_lane_2_kept urgent": (
        "UPDATE cases SET severity = 'low', priority = 'urgent', lane = 3"
    ),
    # figures
    "ck_cases_triage_version": "UPDATE cases SET triage_version = -1",
    "ck_cases_age_approx": "UPDATE cases SET age_approx = 90",
    "ck_cases_age_approx step": "UPDATE cases SET age_approx = 47",
    "ck_images_sha256": "UPDATE images SET sha256 = '\\x00'",
    "ck_images_size": "UPDATE images SET byte_size = 0",
    "ck_images_size width": "UPDATE images SET width = 0",
    "ck_images_size height": "UPDATE images SET height = -1",
    "ck_intake_requests_fingerprint": "UPDATE intake_requests SET fingerprint = ''",
    "ck_assessments_p_severe": "UPDATE assessments SET p_severe = 1.1",
    "ck_assessments_p_severe nan": "UPDATE assessments SET p_severe = 'NaN'",
    "ck_assessments_disagreement": "UPDATE assessments SET disagreement = -0.1",
    "ck_assessments_probabilities": "UPDATE assessments SET probabilities = '{0.5,0.5}'",
    "ck_assessments_probabilities none": "UPDATE assessments SET probabilities = '{}'",
    "ck_workers_slots": "UPDATE workers SET slots = 0",
    # what belongs together
    "ck_images_overview": "UPDATE images SET scoring = 'not_scored', severity = NULL",
    "ck_images_overview pending": "UPDATE images SET image_type = 'overview'",
    "ck_images_severity_if_scored": "UPDATE images SET scoring = 'failed'",
    "ck_images_severity_if_scored none": "UPDATE images SET severity = NULL",
    "ck_pending_images_whole_lease": "UPDATE pending_images SET lease_token = NULL",
    "ck_pending_images_whole_lease expiry": "UPDATE pending_images SET lease_expires_at = NULL",
    "ck_cases_replaces_another": "UPDATE cases SET replaces_case_id = id",
    "ck_decisions_supersedes_another": "UPDATE decisions SET supersedes_id = id",
    "ck_release_activations_override_reason": "UPDATE release_activations SET override_reason = ''",
    "ck_release_activations_previous_is_another": (
        "UPDATE release_activations SET previous_release_id = release_id"
    ),
    # one alone
    "uq_releases_one_shadow": "UPDATE releases SET mode = 'shadow' WHERE mode = 'idle'",
    "uq_release_activations_policy_id": (
        "UPDATE release_activations SET policy_id = (SELECT max(policy_id) FROM"
        " release_activations)"
    ),
    "uq_releases_one_active": "UPDATE releases SET mode = 'active'",
    "uq_policies_one_active": "UPDATE policies SET active = true",
    "uq_releases_name": "UPDATE releases SET name = 'same'",
    "uq_clinics_name": "INSERT INTO clinics (id, name) SELECT gen_random_uuid(), name FROM clinics",
    "uq_clinicians_username": (
        "INSERT INTO clinicians (id, username, display_name, role, password_hash)"
        " SELECT gen_random_uuid(), username, '', 'lead', '' FROM clinicians"
    ),
    "uq_api_keys_key_hash": (
        "INSERT INTO api_keys (id, clinic_id, prefix, key_hash)"
        " SELECT gen_random_uuid(), clinic_id, 'q', key_hash FROM api_keys"
    ),
    "uq_clinician_sessions_token_hash": (
        "INSERT INTO clinician_sessions (id, clinician_id, token_hash, expires_at)"
        " SELECT gen_random_uuid(), clinician_id, token_hash, now() FROM clinician_sessions"
    ),
    "pk_intake_requests": "INSERT INTO intake_requests SELECT * FROM intake_requests",
    "pk_assessments": "INSERT INTO assessments SELECT * FROM assessments",
    "pk_pending_images": "INSERT INTO pending_images SELECT * FROM pending_images",
    "pk_review_claims": "INSERT INTO review_claims SELECT * FROM review_claims",
    "uq_images_case_id_position": "UPDATE images SET position = 0",
    "uq_decisions_supersedes_id": (
        "INSERT INTO decisions (id, case_id, clinician_id, outcome, advice, read_kind,"
        " supersedes_id, severity_at_decision, triage_version, claim_token, decided_at)"
        " SELECT gen_random_uuid(), case_id, clinician_id, outcome, '', 'first',"
        " supersedes_id, 'low', 0, 3, now() FROM decisions WHERE supersedes_id IS NOT NULL"
    ),
    # nothing disappears that something else names
    "fk_pending_images_case_id_cases": "UPDATE pending_images SET case_id = gen_random_uuid()",
    "fk_pending_images_image_id_images": "DELETE FROM assessments; DELETE FROM images",
    "fk_assessments_release_id_releases": (
        "DELETE FROM release_activations; UPDATE images SET release_id = NULL; DELETE FROM releases"
    ),
    "fk_images_release_id_releases": "UPDATE images SET release_id = 99",
    "fk_release_activations_policy_id_policies": (
        "DELETE FROM triage_events; DELETE FROM policies"
    ),
    "fk_decisions_clinician_id_clinicians": (
        "DELETE FROM clinician_sessions; DELETE FROM review_claims; DELETE FROM clinicians"
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_row_that_breaks_an_invariant_is_refused(valid_rows: Engine, name: str) -> None:
    with valid_rows.connect() as connection, pytest.raises(IntegrityError) as refused:
        connection.execute(text(REFUSED[name]))
    cause = refused.value.orig
    assert isinstance(cause, psycopg.IntegrityError)
    assert cause.diag.constraint_name == name.split(maxsplit=1)[0]
