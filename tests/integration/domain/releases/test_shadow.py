"""The shadow: scored with beside the active release, for comparison."""

from uuid import UUID

import pytest
from sqlalchemy.orm import Session
from tests import factories
from tests.conftest import RELEASE
from tests.factories import LOW, SEVERE
from tests.releases import activate, add, modes

from dermtriage.core.enums import Severity
from dermtriage.core.errors import (
    Conflict,
    DermtriageError,
    NotFound,
)
from dermtriage.models import Assessment
from dermtriage.releases.activation import (
    set_shadow_release,
)
from dermtriage.releases.queries import (
    active_release,
    current_shadow,
)
from dermtriage.scoring import assessments, recording


def test_there_is_one_shadow_at_most(session: Session) -> None:
    add(session, "a")
    add(session, "b")
    assert current_shadow(session) is None
    set_shadow_release(session, name="a")
    set_shadow_release(session, name="b")
    assert modes(session) == {RELEASE: "active", "a": "idle", "b": "shadow"}
    set_shadow_release(session, name="b")
    shadow = current_shadow(session)
    assert shadow is not None
    assert shadow.name == "b"
    set_shadow_release(session, name=None)
    set_shadow_release(session, name=None)
    assert modes(session) == {RELEASE: "active", "a": "idle", "b": "idle"}


@pytest.mark.parametrize(("name", "error"), [(RELEASE, Conflict), ("none", NotFound)])
def test_a_shadow_that_is_not_possible_changes_nothing(
    session: Session, name: str, error: type[DermtriageError]
) -> None:
    add(session, "a")
    set_shadow_release(session, name="a")
    with pytest.raises(error):
        set_shadow_release(session, name=name)
    assert modes(session) == {RELEASE: "active", "a": "shadow"}


def test_a_shadow_that_is_activated_is_no_shadow_any_more(session: Session) -> None:
    add(session, "a")
    set_shadow_release(session, name="a")
    activate(session, "a")
    assert modes(session) == {RELEASE: "idle", "a": "active"}
    assert current_shadow(session) is None


def test_assessments_of_a_shadow_triage_nothing_and_are_written_once(
    session: Session, clinic_id: UUID
) -> None:
    shadow = add(session, "a")
    receipt = factories.receive(session, clinic_id)
    (image_id,) = receipt.pending_image_ids
    taken = factories.lease_image(session, image_id)
    factories.record(session, [factories.result(taken, LOW)])
    before = factories.case(session, receipt)
    placement = (before.severity, before.lane, before.due_at, before.changed_at)
    for p_severe in (SEVERE, LOW):
        scored = factories.result(taken, p_severe)
        recording.insert_assessments(session, [scored], release_id=shadow.id, device="cpu")
    recording.insert_assessments(session, [], release_id=shadow.id, device="cpu")

    after = factories.case(session, receipt)
    assert (after.severity, after.lane, after.due_at, after.changed_at) == placement
    assert after.latest_severity is Severity.LOW
    assert len(factories.events(session, receipt)) == 2
    triaged = assessments.current_assessments(session, [image_id])[image_id]
    assert (triaged.release_id, triaged.p_severe) == (
        active_release(session).id,
        pytest.approx(LOW),
    )
    stored = session.get_one(Assessment, (shadow.id, image_id))
    assert stored.p_severe == pytest.approx(SEVERE)
