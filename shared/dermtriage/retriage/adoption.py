"""Make a changed policy the active one.

The adoption is one transaction, and the cases follow in batches, each in a transaction of its own.
From the commit of the adoption on, new scores are triaged by the new policy. A case that was scored
under the old policy while the adoption was checked is never lowered without permission. So the
batches may be interrupted at any point: the same command again finishes the rest, and changes
nothing in the cases that were done.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from dermtriage.accounts import audit
from dermtriage.core.errors import Conflict
from dermtriage.core.validation import check_text
from dermtriage.models import MAX_ACTOR, MAX_REASON, PolicyVersion
from dermtriage.releases.activation import activate_policy, lock_activations
from dermtriage.releases.queries import active_policy
from dermtriage.retriage.batches import ProgressCallback, preview_policy
from dermtriage.retriage.policy_change import changed_policy


@dataclass(frozen=True, slots=True)
class AdoptedPolicy:
    """The version of the policy that is active, and whether this adoption made it."""

    policy_id: int
    new: bool


def adopt_policy(
    session: Session,
    changes: Mapping[str, Any],
    *,
    actor: str,
    reason: str | None,
    allow_down: bool,
    now: datetime,
    on_batch: ProgressCallback | None = None,
) -> AdoptedPolicy:
    """Make a changed policy active from the commit on; `retriage_cases` then applies it.

    If it is active already, and for the same reason if it may lower cases, that version stays: so
    an interrupted change is continued.

    Parameters
    ----------
    changes
        Fields in which it differs from the active policy.
    actor
        The person responsible, as text.
    reason
        Stored with the policy; required to lower cases.
    allow_down
        Whether open cases may be lowered. If not, all cases are checked first.

    Raises
    ------
    RequestRejected
        If the policy cannot be used, or actor or reason is blank or too long.
    Conflict
        If it would lower open cases, and may not.
    """
    lock_activations(session)
    check_text("actor", actor, MAX_ACTOR)
    if allow_down or reason is not None:
        check_text("reason", reason or "", MAX_REASON)
    active_id, active = active_policy(session)
    policy = changed_policy(active, changes)
    if not allow_down:
        lowered = preview_policy(session, policy, now=now, on_batch=on_batch).lowered
        if lowered:
            raise Conflict(
                f"The policy would lower {lowered} open {'case' if lowered == 1 else 'cases'};"
                " nothing was changed.",
                remedy="See how with --dry-run. To lower them, repeat with --allow-down and a"
                " --reason, which is kept.",
                code="cases_would_be_lowered",
            )
    version = session.get_one(PolicyVersion, active_id)
    new = policy != active or (allow_down and reason != version.reason)
    if new:
        version = activate_policy(session, policy, reason or f"changed by {actor}")
    audit.record(
        session,
        actor_kind="operator",
        actor_id=None,
        action="policy.adopted",
        by=actor,
        policy_id=version.id,
        previous_policy_id=active_id,
        allow_down=allow_down,
    )
    return AdoptedPolicy(version.id, new)
