"""Which release triages: activation with its record, the shadow, and how two of them differ."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.conftest import RELEASE
from tests.factories import INDETERMINATE, LOW, MONDAY, SEVERE

from dermtriage.core.enums import Severity
from dermtriage.core.errors import (
    Conflict,
    DermtriageError,
    NotFound,
    ReleaseInvalid,
    ReleaseRefused,
    RequestRejected,
)
from dermtriage.models import Assessment, PolicyVersion, Release, ReleaseActivation
from dermtriage.releases import activation, queries
from dermtriage.releases.activation import (
    INSTALLATION,
    activate_release,
    add_release,
    set_shadow_release,
)
from dermtriage.releases.comparison import compare
from dermtriage.releases.queries import (
    active_policy,
    active_release,
    current_shadow,
    policy_of_release,
)
from dermtriage.scoring import assessments, recording

THRESHOLDS = {"lower": 0.2, "upper": 0.8, "disagreement": 0.3, "out_of_scope": 0.9}


def add(session: Session, name: str, low: float | None = 0.97, **thresholds: float) -> Release:
    """Make a release known whose sensitivity has this lower bound."""
    figures = {} if low is None else {"sensitivity_lower": {"value": 0.99, "low": low, "high": 1}}
    manifest = {"thresholds": THRESHOLDS | thresholds, "figures": figures}
    return add_release(session, name=name, manifest=manifest, sha256=name.encode().ljust(32))


def activate(session: Session, name: str, **changes: Any) -> ReleaseActivation:
    asked: dict[str, Any] = {"minimum_sensitivity": 0.95, "actor": "m.okafor"}
    return activate_release(session, name=name, **asked | changes)


def modes(session: Session) -> dict[str, str]:
    return {release.name: release.mode for release in queries.list_releases(session)}


def history(session: Session) -> Sequence[ReleaseActivation]:
    return session.scalars(select(ReleaseActivation).order_by(ReleaseActivation.id)).all()


# Known releases


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


# Activation


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
def test_a_release_that_may_miss_too_many_is_refused_unless_somebody_says_why(
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
def test_an_activation_that_cannot_be_right_changes_nothing(
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


def test_the_way_back_is_an_activation_too(session: Session) -> None:
    first, second = add(session, "first"), add(session, "second", lower=0.1)
    activate(session, "first")
    activate(session, "second")
    activate(session, "first")
    assert modes(session) == {RELEASE: "idle", "first": "active", "second": "idle"}
    assert active_policy(session)[1].lower == 0.2
    assert [row.release_id for row in history(session)][1:] == [first.id, second.id, first.id]


def test_two_who_activate_at_once_do_so_one_after_the_other(
    sessions: sessionmaker[Session],
) -> None:
    with sessions.begin() as session:
        for name in ("a", "b", "c"):
            add(session, name)

    def run(name: str) -> None:
        with sessions.begin() as session:
            activate(session, name)

    factories.together([lambda n=name: run(n) for name in ("a", "b", "c")])
    with sessions() as session:
        rows = history(session)
        assert len(rows) == 4
        # Each took over from the one before it, and the last one stands.
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


# Which policy judges whose scores


def test_a_batch_under_way_is_judged_by_the_thresholds_of_its_own_release(
    session: Session, clinic_id: UUID
) -> None:
    receipt = factories.receive(session, clinic_id)
    taken = factories.lease(session, receipt.pending_image_ids[0])
    old, (policy_id, _) = active_release(session), active_policy(session)
    add(session, "next", lower=0.7)
    activate(session, "next")
    said = factories.result(taken, INDETERMINATE)
    assert (
        recording.record_scores(session, [said], release_id=old.id, device="cpu", now=MONDAY) == 1
    )
    assert factories.case(session, receipt).severity is Severity.INDETERMINATE
    event = factories.events(session, receipt)[-1]
    assert (event.policy_id, event.release_id) == (policy_id, old.id)


def test_a_replaced_release_keeps_the_policy_it_had_in_the_end(session: Session) -> None:
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


# The shadow


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
def test_a_shadow_that_cannot_be_changes_nothing(
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


def test_what_a_shadow_says_triages_nothing_and_is_written_once(
    session: Session, clinic_id: UUID
) -> None:
    shadow = add(session, "a")
    receipt = factories.receive(session, clinic_id)
    (image_id,) = receipt.pending_image_ids
    taken = factories.lease(session, image_id)
    factories.record(session, [factories.result(taken, LOW)])
    before = factories.case(session, receipt)
    standing = (before.severity, before.lane, before.due_at, before.changed_at)
    for p_severe in (SEVERE, LOW):
        said = factories.result(taken, p_severe)
        recording.insert_assessments(session, [said], release_id=shadow.id, device="cpu")
    recording.insert_assessments(session, [], release_id=shadow.id, device="cpu")

    after = factories.case(session, receipt)
    assert (after.severity, after.lane, after.due_at, after.changed_at) == standing
    assert after.latest_severity is Severity.LOW
    assert len(factories.events(session, receipt)) == 2
    triaged = assessments.current_assessments(session, [image_id])[image_id]
    assert (triaged.release_id, triaged.p_severe) == (
        active_release(session).id,
        pytest.approx(LOW),
    )
    stored = session.get_one(Assessment, (shadow.id, image_id))
    assert stored.p_severe == pytest.approx(SEVERE)


# Comparison


def say(
    session: Session, clinic_id: UUID, pairs: Sequence[tuple[float, float | None]]
) -> tuple[Release, Release]:
    """Score a photograph a pair: with the active release, and with another unless None."""
    other = add(session, "other")
    receipt = factories.receive(session, clinic_id, images=len(pairs))
    for image_id, (p_first, p_second) in zip(receipt.pending_image_ids, pairs, strict=True):
        taken = factories.lease(session, image_id)
        factories.record(session, [factories.result(taken, p_first)])
        if p_second is not None:
            said = [factories.result(taken, p_second)]
            recording.insert_assessments(session, said, release_id=other.id, device="cpu")
    return active_release(session), other


def test_two_releases_are_compared_on_what_both_scored(session: Session, clinic_id: UUID) -> None:
    # The first proposes 0.3 and 0.6, the second 0.2 and 0.8.
    pairs = [(0.9, 0.9), (0.7, 0.7), (0.7, 0.1), (0.1, 0.1), (0.25, 0.25), (0.1, 0.9), (0.9, None)]
    first, second = say(session, clinic_id, pairs)
    found = compare(session, first, second)
    assert found.photographs == 6
    severe, middle, low = Severity.SEVERE, Severity.INDETERMINATE, Severity.LOW
    counted = {pair: count for pair, count in found.transitions.items() if count}
    assert counted == {
        (severe, severe): 1,
        (severe, middle): 1,
        (severe, low): 1,
        (low, low): 1,
        (low, middle): 1,
        (low, severe): 1,
    }
    assert len(found.transitions) == 9
    assert found.contradictions == 2
    assert found.mean_drift == pytest.approx(0.2 / 6, abs=1e-6)
    assert found.mean_absolute_drift == pytest.approx(1.4 / 6, abs=1e-6)
    assert found.quantiles[0.5] == pytest.approx(0, abs=1e-6)
    assert found.quantiles[0.9] == pytest.approx(0.7, abs=1e-6)
    assert found.quantiles[1.0] == pytest.approx(0.8, abs=1e-6)

    turned = compare(session, second, first)
    assert turned.mean_drift == pytest.approx(-found.mean_drift, abs=1e-6)
    assert turned.quantiles == found.quantiles
    assert turned.transitions == {(b, a): count for (a, b), count in found.transitions.items()}


def test_releases_that_share_no_photograph_have_nothing_to_compare(
    session: Session, clinic_id: UUID
) -> None:
    found = compare(session, *say(session, clinic_id, [(LOW, None)]))
    assert (found.photographs, found.contradictions) == (0, 0)
    assert (found.mean_drift, found.mean_absolute_drift, found.quantiles) == (None, None, {})


def test_a_release_agrees_with_itself(session: Session, clinic_id: UUID) -> None:
    first, _ = say(session, clinic_id, [(LOW, None), (SEVERE, None)])
    found = compare(session, first, first)
    assert (found.photographs, found.contradictions, found.mean_absolute_drift) == (2, 0, 0)
    assert session.scalar(select(func.count()).select_from(Assessment)) == 2
