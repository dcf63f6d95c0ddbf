"""Adopting a policy: permission, reasons, versions, and two adoptions at once."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import INDETERMINATE, LOW, SEVERE
from tests.policies import LAXER, PERMISSION, STRICTER, adopt, scored_case, stored_state

from dermtriage.core.errors import Conflict, RequestRejected
from dermtriage.models import (
    AuditEntry,
    PolicyVersion,
)
from dermtriage.releases.queries import active_policy


def test_a_policy_that_would_lower_open_cases_is_refused(session: Session, clinic_id: UUID) -> None:
    scored_case(session, clinic_id, INDETERMINATE)
    scored_case(session, clinic_id, SEVERE)
    scored_case(session, clinic_id, LOW)
    before = stored_state(session)
    with pytest.raises(Conflict) as refused:
        adopt(session, LAXER)
    assert "2 open cases" in refused.value.detail
    assert "--allow-down" in refused.value.remedy
    session.flush()
    assert stored_state(session) == before
    with pytest.raises(Conflict, match="1 open case;"):
        adopt(session, {"upper": 0.95})


@pytest.mark.parametrize("reason", [None, "", "  ", "x" * 501])
def test_permission_to_lower_needs_a_reason(session: Session, reason: str | None) -> None:
    before = active_policy(session)
    with pytest.raises(RequestRejected, match="reason"):
        adopt(session, LAXER, allow_down=True, reason=reason)
    assert active_policy(session) == before


def test_a_policy_names_the_person_responsible(session: Session) -> None:
    with pytest.raises(RequestRejected, match="actor"):
        adopt(session, STRICTER, actor=" ")
    with pytest.raises(RequestRejected, match="reason"):
        adopt(session, STRICTER, reason=" ")
    before_id, _ = active_policy(session)
    made = adopt(session, STRICTER)
    assert session.get_one(PolicyVersion, made.policy_id).reason == "changed by m.okafor"
    session.flush()
    (entry,) = session.scalars(select(AuditEntry).where(AuditEntry.action == "policy.adopted"))
    assert entry.detail == {
        "by": "m.okafor",
        "policy_id": str(made.policy_id),
        "previous_policy_id": str(before_id),
        "allow_down": "False",
    }


def test_the_same_policy_for_another_reason_is_another_version(session: Session) -> None:
    first = adopt(session, LAXER)
    assert not adopt(session, LAXER).new
    assert not adopt(session, {}).new
    second = adopt(session, LAXER, **PERMISSION)
    assert second.policy_id > first.policy_id
    assert active_policy(session)[0] == second.policy_id
    assert not adopt(session, {}, **PERMISSION).new


def test_policies_that_are_adopted_at_once_follow_one_another(
    sessions: sessionmaker[Session],
) -> None:
    def run(changes: Mapping[str, Any]) -> None:
        with sessions.begin() as session:
            adopt(session, changes)

    changes: Sequence[Mapping[str, Any]] = ({"lower": 0.2}, {"upper": 0.7}, {"disagreement": 0.1})
    factories.run_concurrently([partial(run, one) for one in changes])
    with sessions() as session:
        _, policy = active_policy(session)
        assert (policy.lower, policy.upper, policy.disagreement) == (0.2, 0.7, 0.1)
        assert session.scalar(select(func.count()).select_from(PolicyVersion)) == 4
