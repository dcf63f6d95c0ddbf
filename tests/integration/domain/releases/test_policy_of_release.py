"""Which policy triages the scores of which release."""

from uuid import UUID

from sqlalchemy import update
from sqlalchemy.orm import Session
from tests import factories
from tests.conftest import RELEASE
from tests.factories import INDETERMINATE, MONDAY
from tests.releases import activate, add

from dermtriage.core.enums import Severity
from dermtriage.models import PolicyVersion
from dermtriage.releases.queries import (
    active_policy,
    active_release,
    policy_of_release,
)
from dermtriage.scoring import recording


def test_a_batch_under_way_is_triaged_by_the_thresholds_of_its_own_release(
    session: Session, clinic_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    taken = factories.lease_image(session, receipt.pending_image_ids[0])
    old, (policy_id, _) = active_release(session), active_policy(session)
    add(session, "next", lower=0.7)
    activate(session, "next")
    scored = factories.result(taken, INDETERMINATE)
    assert (
        recording.record_scores(session, [scored], release_id=old.id, device="cpu", now=MONDAY) == 1
    )
    assert factories.case(session, receipt).severity is Severity.INDETERMINATE
    event = factories.events(session, receipt)[-1]
    assert (event.policy_id, event.release_id) == (policy_id, old.id)


def test_a_replaced_release_keeps_its_last_policy(session: Session) -> None:
    tiny = active_release(session)
    _, policy = active_policy(session)
    session.execute(update(PolicyVersion).values(active=False))
    tuned = policy.model_copy(update={"lower": 0.25})
    session.add(PolicyVersion(body=tuned.model_dump(mode="json"), reason="tuned"))
    assert policy_of_release(session, tiny.id)[1] == tuned
    following = add(session, "next")
    assert (
        policy_of_release(session, following.id)[1] == tuned
    )  # not active yet: it has none of its own
    activate(session, "next")
    assert policy_of_release(session, tiny.id)[1] == tuned
    assert policy_of_release(session, following.id) == active_policy(session)
    add(session, "last", lower=0.1)
    activate(session, "last")
    assert policy_of_release(session, tiny.id)[1] == tuned
    assert policy_of_release(session, following.id)[1].lower == 0.2
    activate(session, RELEASE, override_reason="back")
    assert policy_of_release(session, tiny.id) == active_policy(session)
    assert policy_of_release(session, following.id)[1].lower == 0.2
