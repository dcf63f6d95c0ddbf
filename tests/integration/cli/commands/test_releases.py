"""The `release` commands against a real database and real folders."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from tests import factories
from tests.conftest import RELEASE
from tests.factories import LOW, SEVERE
from typer.testing import CliRunner

from dermtriage.core.settings import Settings, get_settings
from dermtriage.models import ReleaseActivation
from dermtriage.releases.queries import active_policy, active_release, current_shadow, find_release
from dermtriage.scoring import recording
from dermtriage_cli.main import app
from dermtriage_worker.ensemble.manifest import Figure, Thresholds
from dermtriage_worker.ensemble.manifest_file import MANIFEST_NAME, read_manifest, write_manifest
from dermtriage_worker.ensemble.tiny import build_tiny_release

run = CliRunner().invoke

GOOD, BAD = "good", "bad"


@pytest.fixture
def releases(settings: Settings, tmp_path: Path) -> Path:
    """The active release, one that may follow it, and one whose sensitivity is too low."""
    folder = tmp_path / "releases"
    shutil.copytree(settings.releases_dir / RELEASE, folder / RELEASE)
    for seed, (name, low) in enumerate([(GOOD, 0.97), (BAD, 0.9)], start=1):
        manifest = build_tiny_release(folder / name, seed=seed)
        changed = manifest.model_copy(
            update={
                "figures": {"sensitivity_lower": Figure(value=0.98, low=low, high=0.99)},
                "thresholds": Thresholds(lower=0.2, upper=0.7, disagreement=0.4),
            }
        )
        write_manifest(folder / name, changed)
    return folder


@pytest.fixture(autouse=True)
def _environment(
    settings: Settings, releases: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    monkeypatch.setenv("DERMTRIAGE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("DERMTRIAGE_RELEASES_DIR", str(releases))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def succeed(*words: str) -> str:
    result = run(app, ["release", *words])
    assert result.exit_code == 0, result.stderr
    return " ".join(result.stdout.split())


def refuse(*words: str) -> str:
    result = run(app, ["release", *words])
    assert result.exit_code == 1
    return " ".join(result.stderr.split())


def listed() -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in json.loads(succeed_raw("list", "--json"))}


def succeed_raw(*words: str) -> str:
    result = run(app, ["release", *words])
    assert result.exit_code == 0, result.stderr
    return result.stdout


# verify


@pytest.mark.parametrize("by_path", [False, True])
def test_verify_names_every_file(releases: Path, by_path: bool) -> None:
    said = succeed("verify", str(releases / GOOD) if by_path else GOOD)
    assert "Release good is complete" in said
    assert "2 members" in said
    for member in read_manifest(releases / GOOD).members:
        assert member.file in said
        assert member.sha256 in said


def alter(folder: Path) -> None:
    with (folder / "tiny_a.safetensors").open("ab") as file:
        file.write(b"\0")


def rename(folder: Path) -> None:
    manifest = read_manifest(folder)
    write_manifest(folder, manifest.model_copy(update={"name": "another"}))


HARM: dict[str, tuple[Callable[[Path], object], str]] = {
    "altered": (alter, "tiny_a.safetensors of release good was altered"),
    "missing": (lambda folder: (folder / "tiny_b.safetensors").unlink(), "cannot be read"),
    "unknown": (lambda folder: (folder / "more.bin").touch(), "more.bin"),
    "no manifest": (lambda folder: (folder / MANIFEST_NAME).unlink(), MANIFEST_NAME),
    "ill-formed": (lambda folder: (folder / MANIFEST_NAME).write_text("{}"), "cannot be used"),
    "other name": (rename, "contains release another"),
    "not there": (shutil.rmtree, MANIFEST_NAME),
}


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("command", ["verify", "activate", "shadow"])
def test_a_folder_that_is_not_whole_is_refused(
    sessions: sessionmaker[Session], releases: Path, harm: str, command: str
) -> None:
    spoil, complaint = HARM[harm]
    spoil(releases / GOOD)
    assert complaint in refuse(command, GOOD)
    with sessions() as session:
        assert active_release(session).name == RELEASE
        assert current_shadow(session) is None
    assert listed().get(GOOD, {"mode": "unknown"})["mode"] == "unknown"


# list


def test_list_shows_folders_and_rows_together(releases: Path) -> None:
    found = listed()
    assert {name: each["mode"] for name, each in found.items()} == {
        RELEASE: "active",
        GOOD: "unknown",
        BAD: "unknown",
    }
    assert found[GOOD]["figures"] == {
        "sensitivity_lower": {"value": 0.98, "low": 0.97, "high": 0.99}
    }
    assert found[GOOD]["gmac"] == 0.01
    assert found[GOOD]["created"] == "2026-01-01T00:00:00+00:00"
    assert found[GOOD]["activated"] is None
    assert found[RELEASE]["activated"]["by"] == "installation"
    assert {each["problem"] for each in found.values()} == {""}
    shown = succeed("list")
    assert "0.980 (0.970 to 0.990)" in shown
    assert "by installation" in shown


def test_list_says_what_is_wrong_with_a_folder(releases: Path) -> None:
    succeed("shadow", GOOD)
    with (releases / GOOD / MANIFEST_NAME).open("a") as manifest:
        manifest.write("\n")
    shutil.rmtree(releases / RELEASE)
    (releases / BAD / MANIFEST_NAME).write_text("{}")
    (releases / ".hidden").mkdir()
    found = listed()
    assert set(found) == {RELEASE, GOOD, BAD}
    assert "differs from the release in the database" in found[GOOD]["problem"]
    assert (found[GOOD]["mode"], found[GOOD]["gmac"]) == ("shadow", 0.01)
    assert "missing" in found[RELEASE]["problem"]
    assert "cannot be used" in found[BAD]["problem"]
    assert found[BAD]["created"] is None
    shown = succeed("list")
    assert "its folder is missing" in shown


# activate


def test_a_release_is_activated_with_its_thresholds(sessions: sessionmaker[Session]) -> None:
    assert "Release good is active" in succeed("activate", GOOD, "--by", "m.okafor")
    with sessions() as session:
        release = active_release(session)
        assert release.name == GOOD
        _, policy = active_policy(session)
        assert (policy.lower, policy.upper, policy.disagreement) == (0.2, 0.7, 0.4)
        row = session.scalars(
            select(ReleaseActivation).where(ReleaseActivation.release_id == release.id)
        ).one()
        assert (row.actor, row.override_reason) == ("m.okafor", None)
    assert "already" in refuse("activate", GOOD)
    assert listed()[GOOD]["activated"]["by"] == "m.okafor"


def test_a_release_that_may_miss_too_many_needs_a_reason(
    sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = refuse("activate", BAD)
    assert "0.900" in said
    assert "--override" in said
    assert listed()[BAD]["mode"] == "unknown"
    succeed("activate", BAD, "--override", "A trial.")
    assert listed()[BAD]["activated"]["override_reason"] == "A trial."
    assert listed()[BAD]["activated"]["by"]
    # The tiny release was never measured, so the way back needs a reason as well.
    assert "never measured" in refuse("activate", RELEASE)
    monkeypatch.setenv("DERMTRIAGE_MINIMUM_SENSITIVITY", "0.99")
    get_settings.cache_clear()
    assert "0.99" in refuse("activate", GOOD)
    assert "reason" in refuse("activate", GOOD, "--override", "")
    with sessions() as session:
        assert active_release(session).name == BAD


# shadow and compare


def test_a_shadow_is_set_and_ended(sessions: sessionmaker[Session]) -> None:
    succeed("shadow", GOOD)
    with sessions() as session:
        shadow = current_shadow(session)
        assert shadow is not None
        assert shadow.name == GOOD
        assert active_release(session).name == RELEASE
    assert listed()[GOOD]["mode"] == "shadow"
    succeed("shadow", "--off")
    assert listed()[GOOD]["mode"] == "idle"
    assert "active one" in refuse("shadow", RELEASE)
    for words in ([], [GOOD, "--off"]):
        assert run(app, ["release", "shadow", *words]).exit_code == 2


def test_two_releases_are_compared(sessions: sessionmaker[Session]) -> None:
    succeed("shadow", GOOD)
    assert "No photograph has been scored by both" in succeed("compare", RELEASE, GOOD)
    nothing = json.loads(succeed_raw("compare", RELEASE, GOOD, "--json"))
    assert (nothing["photographs"], nothing["mean_drift"]) == (0, None)
    with sessions.begin() as session:
        receipt = factories.receive(session, factories.clinic(session), images=2)
        shadow_id = find_release(session, GOOD).id
        for image_id, says in zip(receipt.pending_image_ids, (LOW, SEVERE), strict=True):
            taken = factories.lease_image(session, image_id)
            factories.record(session, [factories.result(taken, LOW)])
            said = [factories.result(taken, says)]
            recording.insert_assessments(session, said, release_id=shadow_id, device="cpu")
    found = json.loads(succeed_raw("compare", RELEASE, GOOD, "--json"))
    assert (found["first"], found["second"], found["photographs"]) == (RELEASE, GOOD, 2)
    assert found["transitions"]["low"] == {"severe": 1, "indeterminate": 0, "low": 1}
    assert found["severe_in_one_and_low_in_the_other"] == 1
    assert found["mean_drift"] == pytest.approx(0.4)
    assert found["absolute_drift_quantiles"]["1.0"] == pytest.approx(0.8)
    shown = succeed("compare", RELEASE, GOOD)
    assert "2 photographs that both releases have scored" in shown
    assert "Severe by one release and low by the other: 1." in shown
    assert "no release none" in refuse("compare", RELEASE, "none")
