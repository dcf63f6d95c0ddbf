"""Faults under load, one after the other: nothing is lost, hidden, made twice or stuck.

``make faults`` breaks other things in another order, and prints its seed; ``make faults SEED=n``
repeats a run.
"""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from rich.console import Console
from rich.table import Table
from sqlalchemy import select, text
from sqlalchemy.orm import Session, sessionmaker
from tests.conftest import RELEASE
from tests.faults.faults import FAULTS
from tests.faults.installation import TIMES, Installation, wait_until
from tests.faults.journal import Journal
from tests.faults.traffic import Traffic
from tests.photographs import sha256

from dermtriage.accounts.clinicians import add_clinician
from dermtriage.accounts.clinics import add_clinic
from dermtriage.core.enums import Scoring
from dermtriage.core.settings import Settings
from dermtriage.database.engine import make_engine, make_sessions
from dermtriage.models import Case, Image, IntakeRequest, PendingImage
from dermtriage.operations.invariants import check_invariants
from dermtriage_worker.ensemble.tiny import build_tiny_release

SEED = int(os.environ.get("FAULTS_SEED", "1"))
SECONDS = float(os.environ.get("FAULTS_SECONDS", "75"))

FLOWS_WITHIN = 15.0
"""Seconds after the end of a fault within which a new photograph has its score."""

SETTLES_WITHIN = 2 * float(TIMES["LEASE_SECONDS"]) + FLOWS_WITHIN
"""Seconds after the last fault within which all photographs have their scores."""

CLINICIANS = 30
PASSWORD = "a password of the tests"


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    build_tiny_release(tmp_path / "releases" / RELEASE)
    installation = Installation(tmp_path / "data", tmp_path / "releases")
    yield installation
    installation.stop()


@pytest.mark.timeout(SECONDS + 300)
def test_faults_under_load(installation: Installation, tmp_path: Path) -> None:
    console = Console(stderr=True)
    console.print(f"seed {SEED}")
    rng = random.Random(SEED)
    engine = make_engine(Settings(database_url=installation.running.database_url))
    sessions = make_sessions(engine)
    secret = (installation.folder / "secret").read_text()
    logins = [(f"reader-{number}", PASSWORD) for number in range(CLINICIANS)]
    with sessions.begin() as session:
        _, key = add_clinic(session, name="Village", secret_key=secret)
        for name, password in logins:
            add_clinician(session, username=name, display_name=name, password=password)
    journal = Journal(tmp_path / "receipts")
    traffic = Traffic(installation.running.server_url, key, logins, journal, SEED)
    table = Table("fault", "until new work flows (s)")
    traffic.start()
    try:
        end = time.monotonic() + SECONDS
        for name in _each_in_turn(rng):
            if time.monotonic() > end:
                break
            time.sleep(rng.uniform(0.5, 2))
            FAULTS[name](installation, rng)
            seconds = _seconds_until_scored(traffic, sessions, rng, name)
            table.add_row(name, f"{seconds:.1f}")
            installation.check()
    finally:
        traffic.stop()
        console.print(table)
        for surprise in traffic.surprises[:20]:
            console.print(surprise, markup=False)
    settled = wait_until(lambda: not _pending(sessions), SETTLES_WITHIN, "settling")
    received = journal.received()
    console.print(f"{len(received)} cases received, settled in {settled:.1f} s")
    console.print(f"answers: {dict(traffic.answers)}")
    assert not traffic.surprises
    _assert_nothing_lost(installation, sessions, traffic, journal)
    engine.dispose()


def _each_in_turn(rng: random.Random) -> Iterator[str]:
    """Yield the names of all faults in a random order, then in another, and so on."""
    while True:
        yield from rng.sample(list(FAULTS), len(FAULTS))


def _seconds_until_scored(
    traffic: Traffic, sessions: sessionmaker[Session], rng: random.Random, fault: str
) -> float:
    """Send a new case after a fault, and return the seconds until it has its score."""
    began = time.monotonic()
    with traffic.client() as client:
        case_id = traffic.send(client, rng, "stat")
    assert case_id is not None
    left = FLOWS_WITHIN - (time.monotonic() - began)
    wait_until(lambda: _is_scored(sessions, case_id), left, f"new work after {fault!r}")
    return time.monotonic() - began


def _is_scored(sessions: sessionmaker[Session], case_id: UUID) -> bool:
    with sessions() as session:
        states = session.scalars(select(Image.scoring).where(Image.case_id == case_id)).all()
    return set(states) == {Scoring.SCORED}


def _pending(sessions: sessionmaker[Session]) -> bool:
    with sessions() as session:
        return session.scalar(select(PendingImage.image_id).limit(1)) is not None


def _assert_nothing_lost(
    installation: Installation, sessions: sessionmaker[Session], traffic: Traffic, journal: Journal
) -> None:
    received = journal.received()
    with sessions.begin() as session:
        assert check_invariants(session) == {}
        requests = session.execute(select(IntakeRequest.idempotency_key, IntakeRequest.case_id))
        cases = {request.idempotency_key: request.case_id for request in requests}
        images = {image.id: image for image in session.scalars(select(Image))}
        known = set(session.scalars(select(Case.id)))
        twice = text(
            "SELECT case_id FROM triage_events WHERE kind = 'received'"
            " GROUP BY case_id HAVING count(*) > 1"
        )
        assert session.execute(twice).all() == []
    assert len(cases) == len(known), "a request made more than one case, or none"
    for one in received:
        assert cases[one.key] == one.case_id
        for image_id, digest in one.photographs.items():
            assert images[image_id].scoring is Scoring.SCORED
            original = installation.store / "originals" / image_id.hex[-2:] / str(image_id)
            assert sha256(original.read_bytes()) == digest
    missed = {one.case_id for one in received} - traffic.poll_rest()
    assert not missed, f"{len(missed)} cases were never in the clinic's polls"
