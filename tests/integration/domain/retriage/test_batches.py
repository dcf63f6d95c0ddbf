"""Batches of a policy replay: previewed, interrupted, and beside other writers."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import INDETERMINATE, LOW, MONDAY, SEVERE
from tests.policies import (
    LAXER,
    PERMISSION,
    STRICTER,
    adopt,
    apply,
    placement_of,
    replace_release,
    scored_case,
    stored_state,
)

from dermtriage.core.enums import Severity
from dermtriage.core.errors import Conflict
from dermtriage.operations.invariants import check_invariants
from dermtriage.retriage.adoption import AdoptedPolicy
from dermtriage.retriage.batches import Batch, preview_changes, retriage_cases
from dermtriage.retriage.tally import Tally


def test_a_preview_changes_nothing_and_is_right(
    session: Session, clinic_id: UUID, clinician_id: UUID
) -> None:
    for p_severe in (LOW, INDETERMINATE, INDETERMINATE, SEVERE):
        scored_case(session, clinic_id, p_severe)
    factories.decide(session, scored_case(session, clinic_id, INDETERMINATE).case_id, clinician_id)
    session.flush()
    before = stored_state(session)
    seen: list[Tally] = []
    up = preview_changes(session, STRICTER, now=MONDAY, on_batch=seen.append)
    assert seen == [up]
    down = preview_changes(session, LAXER, now=MONDAY)
    assert stored_state(session) == before
    assert (down.lowered, down.cases) == (3, 5)
    assert apply(session, LAXER, **PERMISSION) == down
    apply(session, {"lower": 0.3, "upper": 0.6})
    assert apply(session, STRICTER) == up


def test_an_interrupted_change_is_continued(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    with sessions.begin() as session:
        cases = [
            scored_case(session, clinic_id, p) for p in (SEVERE, LOW, INDETERMINATE, SEVERE, LOW)
        ]
    with sessions.begin() as session:
        adopted = adopt(session, LAXER, **PERMISSION)
        before = stored_state(session)
    assert adopted.new

    def batch(session: Session, after: UUID | None) -> Batch:
        return retriage_cases(
            session,
            policy_id=adopted.policy_id,
            after=after,
            allow_down=True,
            now=MONDAY,
            limit=2,
        )

    with sessions.begin() as session:
        first = batch(session, None)
    assert (first.tally.cases, first.tally.lowered, first.last) == (2, 1, cases[1].case_id)

    def killed() -> None:
        with sessions.begin() as session:
            assert batch(session, first.last).tally.lowered == 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    with sessions() as session:
        now = stored_state(session)
        assert len(now) == len(before) + 1, "one event, and no second version"
        assert [placement_of(session, case)[0] for case in cases[1:4]] == [
            Severity.LOW,
            Severity.INDETERMINATE,
            Severity.SEVERE,
        ]

    with sessions.begin() as session:
        assert adopt(session, LAXER, **PERMISSION) == AdoptedPolicy(adopted.policy_id, new=False)
        rest = apply(session, LAXER, **PERMISSION)
    assert (rest.cases, rest.changed, rest.lowered) == (5, 2, 2)
    with sessions.begin() as session:
        done = stored_state(session)
        assert apply(session, LAXER, **PERMISSION).changed == 0
        assert apply(session, LAXER).changed == 0
        assert stored_state(session) == done
        assert check_invariants(session) == {}


def test_batches_end_when_another_policy_takes_over(session: Session, clinic_id: UUID) -> None:
    receipt = scored_case(session, clinic_id, INDETERMINATE)
    adopted = adopt(session, STRICTER)
    replace_release(session)
    before = placement_of(session, receipt)
    with pytest.raises(Conflict) as refused:
        retriage_cases(
            session, policy_id=adopted.policy_id, after=None, allow_down=False, now=MONDAY
        )
    assert refused.value.code == "policy_replaced"
    assert placement_of(session, receipt) == before


def test_a_score_under_way_is_waited_for_and_not_lowered_without_permission(
    sessions: sessionmaker[Session], clinic_id: UUID
) -> None:
    """The score came after the policy was checked, and was triaged by the policy before it."""
    with sessions.begin() as session:
        high, middle = (factories.receive(session, clinic_id) for _ in range(2))
        leases = [factories.lease_image(session, r.pending_image_ids[0]) for r in (high, middle)]

    def run(policy_id: int) -> Tally:
        with sessions.begin() as session:
            return retriage_cases(
                session, policy_id=policy_id, after=None, allow_down=False, now=MONDAY
            ).tally

    with ThreadPoolExecutor(1) as pool:
        with sessions.begin() as scoring:
            scores = (SEVERE, INDETERMINATE)
            results = [factories.result(taken, p) for taken, p in zip(leases, scores, strict=True)]
            factories.record(scoring, results)
            with sessions.begin() as session:
                adopted = adopt(session, {"upper": 0.95})
            batch = pool.submit(run, adopted.policy_id)
            with sessions() as watcher:
                while not factories.is_blocked(watcher) and not batch.done():
                    watcher.rollback()
        tally = batch.result(20)
    assert (tally.changed, tally.lowered) == (0, 0)
    with sessions() as session:
        assert placement_of(session, high)[:3] == (Severity.SEVERE, Severity.INDETERMINATE, 0)
        assert placement_of(session, middle)[:3] == (
            Severity.INDETERMINATE,
            Severity.INDETERMINATE,
            2,
        )
        assert check_invariants(session) == {}
