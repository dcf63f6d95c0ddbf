"""How two releases differ in their assessments."""

from collections.abc import Sequence
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from tests import factories
from tests.factories import LOW, SEVERE
from tests.releases import add

from dermtriage.core.enums import Severity
from dermtriage.models import Assessment, Release
from dermtriage.releases.comparison import compare
from dermtriage.releases.queries import (
    active_release,
)
from dermtriage.scoring import recording


def score_by_both(
    session: Session, clinic_id: UUID, pairs: Sequence[tuple[float, float | None]]
) -> tuple[Release, Release]:
    """Score a photograph a pair: with the active release, and with another unless None."""
    other = add(session, "other")
    receipt = factories.receive(session, clinic_id, images=len(pairs))
    for image_id, (p_first, p_second) in zip(receipt.pending_image_ids, pairs, strict=True):
        taken = factories.lease_image(session, image_id)
        factories.record(session, [factories.result(taken, p_first)])
        if p_second is not None:
            scored = [factories.result(taken, p_second)]
            recording.insert_assessments(session, scored, release_id=other.id, device="cpu")
    return active_release(session), other


def test_two_releases_are_compared_on_what_both_scored(session: Session, clinic_id: UUID) -> None:
    # The first proposes 0.3 and 0.6, the second 0.2 and 0.8.
    pairs = [(0.9, 0.9), (0.7, 0.7), (0.7, 0.1), (0.1, 0.1), (0.25, 0.25), (0.1, 0.9), (0.9, None)]
    first, second = score_by_both(session, clinic_id, pairs)
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
    found = compare(session, *score_by_both(session, clinic_id, [(LOW, None)]))
    assert (found.photographs, found.contradictions) == (0, 0)
    assert (found.mean_drift, found.mean_absolute_drift, found.quantiles) == (None, None, {})


def test_a_release_agrees_with_itself(session: Session, clinic_id: UUID) -> None:
    first, _ = score_by_both(session, clinic_id, [(LOW, None), (SEVERE, None)])
    found = compare(session, first, first)
    assert (found.photographs, found.contradictions, found.mean_absolute_drift) == (2, 0, 0)
    assert session.scalar(select(func.count()).select_from(Assessment)) == 2
