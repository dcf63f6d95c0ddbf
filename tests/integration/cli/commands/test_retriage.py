"""The `retriage` command against a real database."""

import getpass
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import INDETERMINATE, LOW, SEVERE
from typer.testing import CliRunner

from dermtriage.core.clock import utcnow
from dermtriage.core.enums import Severity
from dermtriage.core.settings import Settings, get_settings
from dermtriage.models import AuditEntry, Case, PolicyVersion, TriageEvent
from dermtriage.releases.queries import active_policy
from dermtriage.retriage.adoption import adopt_policy
from dermtriage.retriage.batches import retriage_cases
from dermtriage_cli.main import app

run = CliRunner().invoke

STRICTER = {"lower": 0.05, "upper": 0.35}
LAXER = {"lower": 0.5, "upper": 0.95}


@pytest.fixture(autouse=True)
def _environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DERMTRIAGE_DATABASE_URL", settings.database_url)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture(autouse=True)
def _cases(sessions: sessionmaker[Session]) -> None:
    """Two cases of each severity, just received, and an indeterminate one that is decided."""
    now = utcnow()
    with sessions.begin() as session:
        clinic_id, clinician_id = factories.clinic(session), factories.clinician(session)
        for p_severe in (LOW, INDETERMINATE, SEVERE) * 2:
            receipt = factories.receive(session, clinic_id, now=now)
            factories.score(session, receipt.pending_image_ids[0], p_severe, now)
        receipt = factories.receive(session, clinic_id, now=now)
        factories.score(session, receipt.pending_image_ids[0], INDETERMINATE, now)
        factories.decide(session, receipt.case_id, clinician_id, now=now)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return tmp_path / "policy.json"


def succeed(policy: Path, changes: object, *words: str) -> str:
    policy.write_text(json.dumps(changes))
    result = run(app, ["retriage", "--policy", str(policy), *words])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def refuse(policy: Path, changes: object, *words: str) -> str:
    policy.write_text(changes if isinstance(changes, str) else json.dumps(changes))
    result = run(app, ["retriage", "--policy", str(policy), *words])
    assert result.exit_code == 1
    return " ".join(result.stderr.split())


def report(policy: Path, changes: object, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(succeed(policy, changes, "--json", *words))
    return found


def severities(sessions: sessionmaker[Session]) -> dict[str, int]:
    with sessions() as session:
        counted = select(Case.severity, func.count()).group_by(Case.severity)
        return {row[0].value: row[1] for row in session.execute(counted)}


def test_a_dry_run_shows_the_matrix_and_changes_nothing(
    sessions: sessionmaker[Session], policy: Path
) -> None:
    before = severities(sessions)
    shown = succeed(policy, STRICTER, "--dry-run").splitlines()
    rows = {line.split()[1]: line.split("│")[2:6] for line in shown if "│" in line}
    assert {name: [int(cell) for cell in cells] for name, cells in rows.items()} == {
        "severe": [2, 0, 0, 0],
        "unscored": [0, 0, 0, 0],
        "indeterminate": [2, 0, 0, 0],
        "low": [0, 0, 2, 0],
    }
    words = " ".join(shown)
    assert "6 open cases" in words
    assert "5 of 7 cases would change. Decided cases recalled: 1. Open cases lowered: 0." in words
    assert "Nothing was changed." in words
    assert "--allow-down" not in words
    words = " ".join(succeed(policy, LAXER, "--dry-run").split())
    assert "Open cases lowered: 4." in words
    assert "--allow-down and --reason" in words
    assert severities(sessions) == before
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(PolicyVersion)) == 1


def test_a_run_does_what_the_dry_run_shows(sessions: sessionmaker[Session], policy: Path) -> None:
    foreseen = report(policy, STRICTER, "--dry-run")
    done = report(policy, STRICTER, "--by", "m.okafor", "--reason", "missed one")
    with sessions() as session:
        policy_id, active = active_policy(session)
        assert (active.lower, active.upper, active.disagreement) == (0.05, 0.35, 0.5)
        assert session.get_one(PolicyVersion, policy_id).reason == "missed one"
        (entry,) = session.scalars(select(AuditEntry).where(AuditEntry.action == "policy.adopted"))
        assert entry.detail["by"] == "m.okafor"
        changed = select(func.count()).where(TriageEvent.policy_id == policy_id)
        assert session.scalar(changed) == 5
    assert severities(sessions) == {"severe": 5, "indeterminate": 2}
    assert done == foreseen | {"dry_run": False, "policy_id": policy_id}
    assert foreseen == {
        "dry_run": True,
        "policy_id": None,
        "cases": 7,
        "changed": 5,
        "recalled": 1,
        "lowered": 0,
        "transitions": {
            before: {after: done["transitions"][before][after] for after in Severity}
            for before in Severity
        },
    }
    assert done["transitions"]["indeterminate"]["severe"] == 2

    again = " ".join(succeed(policy, STRICTER).split())
    assert f"Policy {policy_id} was active already." in again
    assert "0 of 7 cases changed. Decided cases recalled: 0. Open cases lowered: 0." in again


def test_lowering_needs_leave_and_a_reason(sessions: sessionmaker[Session], policy: Path) -> None:
    before = severities(sessions)
    said = refuse(policy, LAXER)
    assert "would lower 4 open cases; nothing was changed" in said
    assert "--allow-down" in said
    assert "The reason must have" in refuse(policy, LAXER, "--allow-down")
    assert "The reason must have" in refuse(policy, LAXER, "--allow-down", "--reason", " ")
    assert severities(sessions) == before
    done = report(policy, LAXER, "--allow-down", "--reason", "too many alarms")
    assert (done["lowered"], done["changed"]) == (4, 4)
    assert severities(sessions) == {"indeterminate": 3, "low": 4}
    with sessions() as session:
        (entry,) = session.scalars(select(AuditEntry).where(AuditEntry.action == "policy.adopted"))
        assert (entry.detail["by"], entry.detail["allow_down"]) == (getpass.getuser(), "True")


def test_an_interrupted_run_is_finished_by_the_same_command(
    sessions: sessionmaker[Session], policy: Path
) -> None:
    reason = "too many alarms"
    with sessions.begin() as session:
        adopted = adopt_policy(
            session,
            LAXER,
            actor="tests",
            reason=reason,
            allow_down=True,
            now=utcnow(),
        )
    # The command wrote one batch before it was interrupted.
    with sessions.begin() as session:
        retriage_cases(
            session,
            policy_id=adopted.policy_id,
            after=None,
            allow_down=True,
            now=utcnow(),
            limit=3,
        )
    assert severities(sessions) == {"severe": 1, "indeterminate": 3, "low": 3}
    rest = report(policy, LAXER, "--allow-down", "--reason", reason)
    assert (rest["cases"], rest["changed"]) == (7, 2)
    assert severities(sessions) == {"indeterminate": 3, "low": 4}
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(PolicyVersion)) == 2


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("{", "is not JSON"),
        ("[0.5]", "does not contain a JSON object"),
        ('{"uper": 0.7}', "it has no field uper"),
        ('{"upper": 7}', "upper: Input should be less than or equal to 1"),
        ('{"lower": 0.9}', "the lower threshold lies above the upper one"),
    ],
)
@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_what_is_no_policy_is_refused(
    sessions: sessionmaker[Session],
    policy: Path,
    written: str,
    complaint: str,
    words: tuple[str, ...],
) -> None:
    assert complaint in refuse(policy, written, *words)
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(PolicyVersion)) == 1


def test_a_policy_must_be_named(policy: Path) -> None:
    assert run(app, ["retriage"]).exit_code == 2
    assert run(app, ["retriage", "--policy", str(policy)]).exit_code == 2
