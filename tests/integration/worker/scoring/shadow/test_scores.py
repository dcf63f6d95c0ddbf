"""A shadow release scores uploads beside the active one, and changes no case."""

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.conftest import RELEASE
from tests.factories import MONDAY
from tests.integration.worker.scoring.shadow.shadow_release import (
    SHADOW,
    assert_scored,
    assessments_by,
    set_shadow,
    triage_history,
)

from dermtriage.releases.activation import activate_release, set_shadow_release
from dermtriage.releases.queries import find_release
from dermtriage.review.case_detail import read_case
from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.ensemble.image.photograph import decode_rendition
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.ensemble.manifest import Preprocessing
from dermtriage_worker.ensemble.manifest_file import read_manifest, write_manifest
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.upload_loop import score_pending


@pytest.mark.parametrize("size", [None, 96])  # None: that of the active release
def test_a_shadow_records_its_scores_of_the_same_rendition_and_inputs(
    sessions: sessionmaker[Session],
    store: ImageStore,
    releases: Path,
    runtime: Runtime,
    send: Callable[..., list[UUID]],
    size: int | None,
) -> None:
    if size:
        changes = {"preprocessing": Preprocessing(size=size)}
        manifest = read_manifest(releases / SHADOW).model_copy(update=changes)
        write_manifest(releases / SHADOW, manifest)
    set_shadow(sessions, releases / SHADOW)
    images = send(6, age_approx=50, sex="female")
    assert score_pending(runtime, None) == 6
    assert_scored(sessions, images)
    rows = assessments_by(sessions, SHADOW)
    assert set(rows) == set(images)
    ensemble = Ensemble.load(releases / SHADOW, "cpu")
    for image_id, row in rows.items():
        square = decode_rendition(store.get_rendition(image_id), ensemble).square
        (again,) = ensemble.predict([square], [{"age_approx": 50, "sex": "female"}])
        assert row.p_severe == pytest.approx(again.p_severe, abs=1e-3)
        assert row.members.keys() == again.members.keys()
        assert row.inputs == again.inputs == {"sex": "female", "age_approx": 50}
        assert row.device == "cpu"
    own = assessments_by(sessions, RELEASE)
    assert any(abs(own[each].p_severe - rows[each].p_severe) > 1e-3 for each in images)


def test_a_shadow_changes_no_case_and_is_not_shown(
    sessions: sessionmaker[Session],
    releases: Path,
    runtime: Runtime,
    send: Callable[..., list[UUID]],
) -> None:
    without = send(3)
    assert score_pending(runtime, None) == 3
    before = triage_history(sessions)
    set_shadow(sessions, releases / SHADOW)
    images = send(3)
    assert score_pending(runtime, None) == 3
    # The same photographs as before: their cases have the same history.
    assert triage_history(sessions)[len(before) :] == before
    assert assessments_by(sessions, SHADOW).keys() == set(images)
    with sessions() as session:
        for image_id, same in zip(images, without, strict=True):
            one, other = (factories.image(session, each) for each in (image_id, same))
            assert one.severity is other.severity
            case = read_case(session, case_id=one.case_id, now=MONDAY)
            assert [shown.release_name for shown in case.images] == [RELEASE]
    assert (runtime.counts().batches, runtime.counts().completed) == (2, 6)


def test_a_shadow_that_became_the_active_release_triages(
    sessions: sessionmaker[Session],
    releases: Path,
    runtime: Runtime,
    send: Callable[..., list[UUID]],
) -> None:
    set_shadow(sessions, releases / SHADOW)
    (first,) = send(1)
    assert score_pending(runtime, None) == 1
    with sessions.begin() as session:
        activate_release(
            session, name=SHADOW, minimum_sensitivity=0.95, actor="a test", override_reason="why"
        )
    (second,) = send(1)
    assert score_pending(runtime, None) == 1
    with sessions() as session:
        old, new = find_release(session, RELEASE), find_release(session, SHADOW)
        assert factories.image(session, first).release_id == old.id
        assert factories.image(session, second).release_id == new.id
        # Its scores as a shadow are not shown; those of the release that triaged are.
        case_id = factories.image(session, first).case_id
        (shown,) = read_case(session, case_id=case_id, now=MONDAY).images
        assert shown.release_name == RELEASE
    assert assessments_by(sessions, RELEASE).keys() == {first}
    assert assessments_by(sessions, SHADOW).keys() == {first, second}


def test_a_shadow_that_is_unset_stops_scoring(
    sessions: sessionmaker[Session],
    releases: Path,
    runtime: Runtime,
    send: Callable[..., list[UUID]],
) -> None:
    set_shadow(sessions, releases / SHADOW)
    with sessions.begin() as session:
        set_shadow_release(session, name=None)
    send(1)
    assert score_pending(runtime, None) == 1
    assert assessments_by(sessions, SHADOW) == {}
