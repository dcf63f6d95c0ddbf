"""Apply a policy to all cases, batch by batch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dermtriage.core.enums import CaseState
from dermtriage.core.errors import Conflict
from dermtriage.models import Case
from dermtriage.releases.queries import active_policy
from dermtriage.retriage.bulk_write import write_replayed
from dermtriage.retriage.policy_change import changed_policy
from dermtriage.retriage.replay import replay_policy
from dermtriage.retriage.stored_cases import read_cases
from dermtriage.retriage.tally import Tally, tally_of
from dermtriage.triage.policy import Policy

BATCH = 2000
"""Cases per transaction: their locks are held for well under a second."""

ProgressCallback = Callable[[Tally], object]
"""Called after each batch with the tally of that batch."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The tally of one batch, and its last id from which to continue; None at the end."""

    tally: Tally
    last: UUID | None


def count_cases(session: Session) -> int:
    """Return the number of cases to which a policy applies."""
    applicable = select(func.count()).where(Case.state != CaseState.WITHDRAWN)
    return session.scalar(applicable) or 0


def preview_changes(
    session: Session,
    changes: Mapping[str, Any],
    *,
    now: datetime,
    on_batch: ProgressCallback | None = None,
) -> Tally:
    """Count what a policy would change if it were allowed to lower cases; nothing is written.

    Parameters
    ----------
    changes
        Fields in which it differs from the active policy.

    Raises
    ------
    RequestRejected
        If these are no fields of a policy, or not with such values.
    """
    _, active = active_policy(session)
    return preview_policy(session, changed_policy(active, changes), now=now, on_batch=on_batch)


def preview_policy(
    session: Session, policy: Policy, *, now: datetime, on_batch: ProgressCallback | None = None
) -> Tally:
    """Count what a whole policy would change, as `preview_changes` does."""
    total, after = Tally(), None
    while cases := read_cases(session, after=after, limit=BATCH, lock=False):
        tally = tally_of(replay_policy(session, cases, policy, now, allow_down=True))
        total.add(tally)
        if on_batch is not None:
            on_batch(tally)
        after = cases[-1].id
    return total


def retriage_cases(
    session: Session,
    *,
    policy_id: int,
    after: UUID | None,
    allow_down: bool,
    now: datetime,
    limit: int = BATCH,
) -> Batch:
    """Apply the adopted policy to the next cases, in the order of their ids.

    Parameters
    ----------
    policy_id
        The version that was adopted.
    after
        `last` of the batch before; None for the start.

    Raises
    ------
    Conflict
        If another policy has become active.
    """
    cases = read_cases(session, after=after, limit=limit, lock=True)
    active_id, policy = active_policy(session)
    if active_id != policy_id:
        raise Conflict(
            "Another policy has become active, so not all cases were triaged again.",
            remedy="Run the command again with the policy that is to hold.",
            code="policy_replaced",
        )
    replayed = replay_policy(session, cases, policy, now, allow_down=allow_down)
    write_replayed(session, replayed, policy_id=policy_id, now=now)
    return Batch(tally_of(replayed), cases[-1].id if len(cases) == limit else None)
