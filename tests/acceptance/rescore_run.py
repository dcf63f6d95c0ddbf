"""A rescore run of a second release in a running system."""

from uuid import UUID

from tests.acceptance.conftest import System

from dermtriage.releases.activation import activate_release
from dermtriage.releases.queries import active_release
from dermtriage.rescoring import planning, runs
from dermtriage.rescoring.scope import OPEN
from dermtriage_cli.releases.folders import register_release
from dermtriage_worker.ensemble.tiny import build_tiny_release

SECOND = "acceptance-second"


def plan_run(system: System) -> UUID:
    """Activate a second release, and plan a run in small chunks."""
    folder = system.settings.releases_dir / SECOND
    if not folder.exists():
        build_tiny_release(folder, seed=5)
    with system.sessions.begin() as session:
        register_release(session, folder)
        activate_release(
            session, name=SECOND, minimum_sensitivity=0.0, actor="tests", override_reason="a test"
        )
        run = planning.plan_run(
            session,
            release=active_release(session),
            scope=OPEN,
            actor="tests",
            chunk_images=8,
        )
        return run.id


def count_scored_by(system: System, run_id: UUID) -> int:
    with system.sessions() as session:
        return runs.progress(session, runs.find_run(session, run_id)).scored


def has_report(system: System, run_id: UUID) -> bool:
    with system.sessions() as session:
        return runs.find_run(session, run_id).report is not None
