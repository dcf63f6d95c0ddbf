"""Releases that are registered and activated."""

from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.conftest import RELEASE
from tests.factories import INDETERMINATE
from tests.releases import THRESHOLDS, activate, add, history, modes

from dermtriage.core.enums import Severity
from dermtriage.core.errors import (
    Conflict,
    DermtriageError,
    NotFound,
    ReleaseInvalid,
    ReleaseRefused,
    RequestRejected,
)
from dermtriage.models import PolicyVersion
from dermtriage.releases import activation, queries
from dermtriage.releases.activation import (
    INSTALLATION,
    add_release,
)
from dermtriage.releases.queries import (
    active_policy,
    active_release,
)


def test_a_new_release_is_idle_and_adding_it_again_changes_nothing(session: Session) -> None:
    added = add(session, "next")
    assert modes(session) == {RELEASE: "active", "next": "idle"}
    activate(session, "next")
    assert add(session, "next").id == added.id
    assert modes(session) == {RELEASE: "idle", "next": "active"}


def test_another_release_of_a_known_name_is_refused(session: Session) -> None:
    add(session, "next")
    with pytest.raises(Conflict) as refused:
        add_release(session, name="next", manifest={}, sha256=bytes(32))
    assert refused.value.code == "release_differs"


def test_the_first_release_is_recorded_as_activated(session: Session) -> None:
    (first,) = history(session)
    assert first.release_id == active_release(session).id
    assert first.policy_id == active_policy(session)[0]
    assert (first.actor, first.previous_release_id) == (INSTALLATION, None)
    assert not activation.install_release(
        session,
        name="next",
        manifest={},
        sha256=bytes(32),
        policy=active_policy(session)[1],
    )
    assert len(history(session)) == 1


def test_activation_takes_over_thresholds_and_keeps_the_rest_of_the_policy(
    session: Session,
) -> None:
    before_id, before = active_policy(session)
    local = before.model_copy(update={"due_working_days": (1, 1, 3, 9), "timezone": "Asia/Tokyo"})
    session.execute(update(PolicyVersion).values(body=local.model_dump(mode="json")))
    old, new = active_release(session), add(session, "next")
    made = activate(session, "next")

    assert modes(session) == {RELEASE: "idle", "next": "active"}
    assert new.activated_at is not None
    policy_id, policy = active_policy(session)
    assert policy == local.model_copy(update=THRESHOLDS)
    assert policy_id != before_id
    assert session.get_one(PolicyVersion, policy_id).reason == "proposed by release next"
    assert history(session)[-1] is made
    assert (made.release_id, made.previous_release_id, made.policy_id) == (
        new.id,
        old.id,
        policy_id,
    )
    assert (made.actor, made.override_reason) == ("m.okafor", None)
    assert made.sensitivity_low == pytest.approx(0.97)
    assert queries.last_activations(session)[new.id] is made


@pytest.mark.parametrize("low", [0.949, None])
def test_a_release_that_may_miss_too_many_is_refused_without_a_reason(
    session: Session, low: float | None
) -> None:
    add(session, "next", low)
    before = active_policy(session)
    with pytest.raises(ReleaseRefused) as refused:
        activate(session, "next")
    assert "override" in refused.value.remedy
    assert ("0.949" if low else "never measured") in refused.value.detail
    assert modes(session) == {RELEASE: "active", "next": "idle"}
    assert active_policy(session) == before

    made = activate(session, "next", override_reason="A trial on photographs of our own.")
    assert modes(session)["next"] == "active"
    assert made.override_reason == "A trial on photographs of our own."
    assert made.sensitivity_low == (low and pytest.approx(low))


def test_the_minimum_itself_suffices(session: Session) -> None:
    add(session, "next", 0.95)
    activate(session, "next")
    assert modes(session)["next"] == "active"


@pytest.mark.parametrize(
    ("name", "changes", "error"),
    [
        (RELEASE, {}, Conflict),
        (RELEASE, {"override_reason": "again"}, Conflict),
        ("none", {}, NotFound),
        ("next", {"override_reason": ""}, RequestRejected),
        ("next", {"override_reason": " \n"}, RequestRejected),
        ("next", {"override_reason": "why" * 200}, RequestRejected),
        ("next", {"actor": " "}, RequestRejected),
        ("crooked", {}, ReleaseInvalid),
        ("without thresholds", {"override_reason": "why"}, ReleaseInvalid),
    ],
)
def test_an_invalid_activation_changes_nothing(
    session: Session, name: str, changes: dict[str, Any], error: type[DermtriageError]
) -> None:
    add(session, "next")
    add(session, "crooked", lower=0.9)
    add_release(session, name="without thresholds", manifest={}, sha256=bytes(32))
    before = active_policy(session)
    with pytest.raises(error):
        activate(session, name, **changes)
    assert modes(session)[RELEASE] == "active"
    assert active_policy(session) == before
    assert len(history(session)) == 1


def test_going_back_is_an_activation_too(session: Session) -> None:
    first, second = add(session, "first"), add(session, "second", lower=0.1)
    activate(session, "first")
    activate(session, "second")
    activate(session, "first")
    assert modes(session) == {RELEASE: "idle", "first": "active", "second": "idle"}
    assert active_policy(session)[1].lower == 0.2
    assert [row.release_id for row in history(session)][1:] == [first.id, second.id, first.id]


def test_activations_at_once_follow_one_another(
    sessions: sessionmaker[Session],
) -> None:
    with sessions.begin() as session:
        for name in ("a", "b", "c"):
            add(session, name)

    def run(name: str) -> None:
        with sessions.begin() as session:
            activate(session, name)

    factories.run_concurrently([lambda n=name: run(n) for name in ("a", "b", "c")])
    with sessions() as session:
        rows = history(session)
        assert len(rows) == 4
        # Each took over from the one before it, and the last one is active.
        for before, after in pairwise(rows):
            assert after.previous_release_id == before.release_id
        assert active_release(session).id == rows[-1].release_id
        assert active_policy(session)[0] == rows[-1].policy_id


def test_activation_moves_no_case(session: Session, clinic_id: UUID) -> None:
    receipt = factories.receive(session, clinic_id)
    factories.score(session, receipt.pending_image_ids[0], INDETERMINATE)
    add(session, "next", lower=0.7)
    activate(session, "next")
    assert factories.case(session, receipt).severity is Severity.INDETERMINATE
    assert [event.kind for event in factories.events(session, receipt)] == ["received", "scored"]
