"""Triage all cases again under another policy, from stored assessments; nothing is scored.

A policy is adopted in one transaction, and the cases follow in batches of one more each. From the
first commit on, whatever is scored is triaged by the new policy; what was scored under the old one
while the adoption was checked is never lowered without leave. So the batches may end anywhere:
the same again does what is left, and finds nothing to do in the rest.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dermtriage.accounts import audit
from dermtriage.core.enums import CaseState, Severity
from dermtriage.core.errors import Conflict, RequestRejected
from dermtriage.core.validation import check_text
from dermtriage.models import MAX_ACTOR, MAX_REASON, Case, PolicyVersion
from dermtriage.releases.activation import activate_policy, lock_activations
from dermtriage.releases.queries import active_policy
from dermtriage.retriage.bulk_io import Change, read_cases, write
from dermtriage.retriage.replay import replay_policy
from dermtriage.triage.policy import Policy

BATCH = 2000
"""Cases a transaction: it holds their locks for well under a second."""


@dataclass(slots=True)
class Tally:
    """What a policy does to cases.

    Attributes
    ----------
    cases
        How many were looked at; withdrawn ones are not.
    changed
        How many of them get an event: another severity, lane or state.
    recalled
        How many that were decided, or await a retake, are open again.
    lowered
        How many open ones fall in severity or lane.
    transitions
        Open cases by (severity before, severity after), also those that stay what they are.
    """

    cases: int = 0
    changed: int = 0
    recalled: int = 0
    lowered: int = 0
    transitions: Counter[tuple[Severity, Severity]] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Count what another tally has counted."""
        self.cases += other.cases
        self.changed += other.changed
        self.recalled += other.recalled
        self.lowered += other.lowered
        self.transitions += other.transitions


Watcher = Callable[[Tally], object]
"""Is told of every batch that has been looked at."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """The version of the policy that triages now, and whether it was made for this."""

    policy_id: int
    new: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """Cases that have been triaged again; `last` is the id to go on after, None at the end."""

    tally: Tally
    last: UUID | None


def changed_policy(base: Policy, changes: Mapping[str, Any]) -> Policy:
    """Return `base` with other values for some of its fields, as JSON has them.

    Raises
    ------
    RequestRejected
        If a policy has no such field, or the values cannot be right.
    """
    try:
        # Strictly: a number in quotes, or `true` for 1, was not meant for a threshold.
        return Policy.model_validate_json(
            json.dumps(base.model_dump(mode="json") | dict(changes)), strict=True
        )
    except ValidationError as error:
        faults = "; ".join(_fault(detail) for detail in error.errors())
        raise RequestRejected(
            f"The policy cannot be used: {faults}.",
            remedy=f"Correct it and try again; its fields are {', '.join(Policy.model_fields)}.",
            field="policy",
        ) from error


def count_cases(session: Session) -> int:
    """Return how many cases there are to be triaged again."""
    alive = select(func.count()).where(Case.state != CaseState.WITHDRAWN)
    return session.scalar(alive) or 0


def preview(
    session: Session, changes: Mapping[str, Any], *, now: datetime, seen: Watcher | None = None
) -> Tally:
    """Tell what a policy would do if it were allowed to lower cases; nothing is changed.

    Parameters
    ----------
    changes
        Fields in which it differs from the active policy.

    Raises
    ------
    RequestRejected
        If it is no policy.
    """
    _, active = active_policy(session)
    return _preview(session, changed_policy(active, changes), now, seen)


def adopt_policy(
    session: Session,
    changes: Mapping[str, Any],
    *,
    actor: str,
    reason: str | None,
    allow_down: bool,
    now: datetime,
    seen: Watcher | None = None,
) -> Adopted:
    """Let a changed policy triage from the commit on; `retriage_cases` then applies it.

    Where it is the active policy already, and for the same reason if it may lower cases, that
    version stays: so an interrupted change is taken up again.

    Parameters
    ----------
    changes
        Fields in which it differs from the active policy.
    actor
        Who answers for it, in words.
    reason
        Kept with the policy; needed to lower cases.
    allow_down
        Whether open cases may be lowered.

    Raises
    ------
    RequestRejected
        If it is no policy, or actor or reason is blank or too long.
    Conflict
        If it would lower open cases, and may not.
    """
    lock_activations(session)
    check_text("actor", actor, MAX_ACTOR)
    if allow_down or reason is not None:
        check_text("reason", reason or "", MAX_REASON)
    active_id, active = active_policy(session)
    policy = changed_policy(active, changes)
    if not allow_down and (lowered := _preview(session, policy, now, seen).lowered):
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
    return Adopted(version.id, new)


def retriage_cases(
    session: Session,
    *,
    policy_id: int,
    after: UUID | None,
    allow_down: bool,
    now: datetime,
    limit: int = BATCH,
) -> Batch:
    """Triage the next cases, in the order of their ids, by the policy that was adopted.

    Parameters
    ----------
    policy_id
        The version that was adopted.
    after
        The `last` of the batch before; None begins.

    Raises
    ------
    Conflict
        If another policy has become the active one.
    """
    cases = read_cases(session, after=after, limit=limit, lock=True)
    active_id, policy = active_policy(session)
    if active_id != policy_id:
        raise Conflict(
            "Another policy has become active, so not all cases were triaged again.",
            remedy="Run the command again with the policy that is to hold.",
            code="policy_replaced",
        )
    changes = replay_policy(session, cases, policy, now, lower=allow_down)
    write(session, changes, policy_id=policy_id, now=now)
    return Batch(_tally(changes), cases[-1].id if len(cases) == limit else None)


def _preview(session: Session, policy: Policy, now: datetime, seen: Watcher | None) -> Tally:
    total, after, more = Tally(), None, True
    while more:
        cases = read_cases(session, after=after, limit=BATCH, lock=False)
        found = _tally(replay_policy(session, cases, policy, now, lower=True))
        total.add(found)
        if seen is not None:
            seen(found)
        more = len(cases) == BATCH
        after = cases[-1].id if cases else None
    return total


def _tally(changes: Sequence[Change]) -> Tally:
    kinds = Counter(change.verdict.kind for change in changes)
    return Tally(
        cases=len(changes),
        changed=len(changes) - kinds[None],
        recalled=kinds["recalled"],
        lowered=kinds["lowered"],
        transitions=Counter(
            (change.case.standing.place.severity, change.verdict.place.severity)
            for change in changes
            if change.case.standing.state is CaseState.OPEN
        ),
    )


def _fault(detail: ErrorDetails) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"it has no field {where}"
    message = detail["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
