"""The `rescore` commands against a real database, with a worker beside them where one is needed."""

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.factories import photograph
from typer.testing import CliRunner

from dermtriage.core.settings import Settings, get_settings
from dermtriage.releases.activation import activate_release
from dermtriage.releases.queries import list_releases
from dermtriage.storage.image_store import ImageStore
from dermtriage_cli.main import app
from dermtriage_cli.releases.folders import register_release
from dermtriage_worker.ensemble.tiny import build_tiny_release
from dermtriage_worker.scoring.bulk_loop import rescore
from dermtriage_worker.scoring.runtime import Runtime
from dermtriage_worker.scoring.upload_loop import score_pending

run = CliRunner().invoke

SECOND = "rescoring-cli"
PHOTOGRAPHS = 5


@pytest.fixture(autouse=True)
def _environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DERMTRIAGE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("DERMTRIAGE_REDIS_URL", settings.redis_url.get_secret_value())
    monkeypatch.setenv("DERMTRIAGE_STORE_URL", settings.store_url)
    monkeypatch.setenv("DERMTRIAGE_RELEASES_DIR", str(settings.releases_dir))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture
def runtime(
    settings: Settings, sessions: sessionmaker[Session], store: ImageStore
) -> Iterator[Runtime]:
    """A worker that has scored some photographs with a release that has been replaced since."""
    worker = Runtime(settings.model_copy(update={"scoring_threads": 1}))
    with sessions.begin() as session:
        clinic_id = factories.clinic(session, "Aldea Norte")
        for seed in range(PHOTOGRAPHS):
            factories.receive(session, clinic_id, store=store, files=[photograph(seed)])
    assert score_pending(worker, None) == PHOTOGRAPHS
    folder = settings.releases_dir / SECOND
    if not folder.exists():
        build_tiny_release(folder, seed=3)
    with sessions.begin() as session:
        register_release(session, folder)
        activate_release(
            session, name=SECOND, minimum_sensitivity=0.0, actor="tests", override_reason="a test"
        )
    yield worker
    worker.sessions.kw["bind"].dispose()


def succeed(*words: str) -> str:
    result = run(app, ["rescore", *words])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def refuse(*words: str, status: int = 1) -> str:
    result = run(app, ["rescore", *words])
    assert result.exit_code == status, result.stdout
    return " ".join(result.stderr.split())


def planned(*words: str) -> str:
    data: dict[str, Any] = json.loads(succeed(*words, "--json"))
    return str(data["run"])


def listed() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(succeed("list", "--json"))
    return rows


@pytest.mark.usefixtures("runtime")
def test_a_dry_run_counts_and_plans_nothing() -> None:
    assert f"{PHOTOGRAPHS} photographs would be scored by {SECOND}" in succeed("--dry-run")
    assert listed() == []
    for scope, count in (
        ("all", PHOTOGRAPHS),
        ("since:2026-01-01", PHOTOGRAPHS),
        ("since:2026-12-01", 0),
        ("clinic:Aldea Norte", PHOTOGRAPHS),
    ):
        assert json.loads(succeed("--dry-run", "--scope", scope, "--json"))["images"] == count


@pytest.mark.parametrize("scope", ["closed", "since:", "since:yesterday", "clinic:"])
def test_a_scope_that_is_none_is_refused(scope: str) -> None:
    assert "Invalid value" in refuse("--scope", scope, status=2)


def test_a_clinic_that_nobody_knows_is_told() -> None:
    assert "no clinic named 'Nowhere'" in refuse("--scope", "clinic:Nowhere")


def test_a_run_is_watched_to_its_end(runtime: Runtime) -> None:
    run_id = planned()
    worker = threading.Thread(target=rescore, args=(runtime,))
    worker.start()
    text = succeed("watch", run_id)
    worker.join()
    assert f"Run with release {SECOND}: finished" in text
    (row,) = listed()
    assert (row["state"], row["scored"], row["failed"]) == ("finished", PHOTOGRAPHS, 0)
    assert "Change of p(severe)" in text
    report = json.loads(succeed("report", run_id, "--json"))
    assert (report["run"], report["scored"]) == (run_id, PHOTOGRAPHS)
    assert report["drift"]["photographs"] == PHOTOGRAPHS
    again = succeed("--wait")
    assert "0 photographs" in again


def test_a_report_is_a_page_as_well(runtime: Runtime, tmp_path: Path) -> None:
    run_id = planned()
    assert rescore(runtime) == PHOTOGRAPHS
    assert "is finished: it has no report yet" in refuse("report", run_id)
    succeed("watch", run_id)
    page = tmp_path / "night.html"
    succeed("report", run_id, "--page", str(page))
    text = page.read_text()
    assert run_id in text
    assert not re.findall(r'(?:src|href)="|url\(|@import|<script', text)
    assert "prefers-color-scheme: dark" in text
    heights = [float(height) for height in re.findall(r'<rect[^>]* height="([\d.]+)"', text)]
    assert len(heights) == 20
    assert max(heights) == 140


def test_a_run_stands_still_goes_on_and_ends(runtime: Runtime) -> None:
    run_id = planned()
    succeed("pause", run_id, "--reason", "the lamp is broken")
    assert rescore(runtime) == 0
    (row,) = listed()
    assert (row["state"], row["reason"]) == ("paused", "the lamp is broken")
    result = run(app, ["rescore", "watch", run_id])
    assert result.exit_code == 1
    assert "the lamp is broken" in result.stdout
    assert "has no report yet" in refuse("report", run_id)
    succeed("resume", run_id)
    succeed("cancel", run_id)
    assert rescore(runtime) == 0
    assert "is cancelled" in refuse("resume", run_id)
    assert json.loads(succeed("report", run_id, "--json"))["state"] == "cancelled"


def test_an_unknown_run_or_release_is_told() -> None:
    assert "There is no such run" in refuse("report", str(UUID(int=0)))
    assert "Release nobody has no readable manifest.json" in refuse("--release", "nobody")


def test_a_release_that_the_database_does_not_know_is_made_known(
    runtime: Runtime, settings: Settings
) -> None:
    third = f"{SECOND}-third"
    if not (settings.releases_dir / third).exists():
        build_tiny_release(settings.releases_dir / third, seed=9)
    run_id = planned("--release", third)
    assert rescore(runtime) == PHOTOGRAPHS
    assert "not active" in succeed("watch", run_id)
    report = json.loads(succeed("report", run_id, "--json"))
    assert (report["release"], report["triaged"]) == (third, False)


def test_a_dry_run_lets_the_database_know_no_release(
    sessions: sessionmaker[Session], settings: Settings
) -> None:
    name = f"unheard-of-{uuid4().hex[:8]}"
    build_tiny_release(settings.releases_dir / name, seed=4)
    assert f"scored by {name}" in succeed("--release", name, "--dry-run")
    with sessions() as session:
        assert name not in [release.name for release in list_releases(session)]
    planned("--release", name)
    with sessions() as session:
        assert name in [release.name for release in list_releases(session)]


def test_a_program_reads_no_prose_of_a_run_that_stands_still(runtime: Runtime) -> None:
    run_id = planned()
    succeed("pause", run_id, "--reason", "the lamp is broken")
    result = run(app, ["rescore", "watch", run_id, "--json"])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "the lamp is broken" in result.stderr
    assert f"dermtriage rescore resume {run_id}" in " ".join(result.stderr.split())
