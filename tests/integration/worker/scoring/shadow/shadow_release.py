"""A shadow release for the tests of this folder, and what it did."""

import logging
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker
from tests import factories

from dermtriage.core.enums import Scoring
from dermtriage.models import Assessment, PendingImage, Release, TriageEvent
from dermtriage.operations import invariants
from dermtriage.releases.activation import add_release, set_shadow_release
from dermtriage.releases.queries import active_release
from dermtriage_worker.ensemble.manifest_file import manifest_sha256, read_manifest

SHADOW = "next"
"""Name of the shadow release."""


def set_shadow(sessions: sessionmaker[Session], folder: Path) -> None:
    """Make the release of this folder the shadow."""
    with sessions.begin() as session:
        add_release(
            session,
            name=folder.name,
            manifest=read_manifest(folder).model_dump(mode="json"),
            sha256=bytes.fromhex(manifest_sha256(folder)),
        )
        set_shadow_release(session, name=folder.name)


def assessments_by(sessions: sessionmaker[Session], name: str) -> dict[UUID, Assessment]:
    with sessions() as session:
        rows = session.scalars(select(Assessment).join(Release).where(Release.name == name))
        return {row.image_id: row for row in rows}


def triage_history(sessions: sessionmaker[Session]) -> list[tuple[str, str, int | None]]:
    with sessions() as session:
        rows = session.scalars(select(TriageEvent).order_by(TriageEvent.id))
        return [(row.kind, row.to_severity, row.release_id) for row in rows]


def assert_scored(sessions: sessionmaker[Session], images: Sequence[UUID]) -> None:
    """Every photograph is scored by the active release, at its first attempt."""
    with sessions() as session:
        rows = [factories.image(session, image_id) for image_id in images]
        assert {row.scoring for row in rows} == {Scoring.SCORED}
        assert {row.release_id for row in rows} == {active_release(session).id}
        assert {row.failure for row in rows} == {None}
        assert session.scalar(select(func.count()).select_from(PendingImage)) == 0
        assert invariants.check_invariants(session) == {}


def shadow_logs(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [
        record for record in caplog.records if record.name == "dermtriage_worker.scoring.shadow"
    ]
