"""The demonstration: photographs in, a worklist out, over the same HTTP as a clinic's."""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import httpx

from dermtriage.accounts.clinicians import add_clinician
from dermtriage.accounts.clinics import add_clinic
from dermtriage.core.enums import ImageType, Scoring
from dermtriage.core.errors import DermtriageError
from dermtriage.core.settings import Settings
from dermtriage.database.engine import make_engine, make_sessions, outage_as_unavailable
from dermtriage_cli import client as api
from dermtriage_cli.demo.ordering import Line, faults
from dermtriage_cli.demo.samples import Sample, generate
from dermtriage_cli.output import progress
from dermtriage_cli.photographs import find_photographs, name_of
from dermtriage_cli.sender import Photograph, Referral, send_all

STALLED_AFTER = 180.0
"""Seconds without a single new score after which the demonstration gives up."""


class DemoFailed(DermtriageError):
    """The demonstration did not show what it should."""

    code = "demo_failed"


@dataclass(frozen=True, slots=True)
class Login:
    """Who may send and who may read, in a database that is there for the demonstration."""

    clinic_key: str
    username: str
    password: str


@dataclass(frozen=True, slots=True)
class Result:
    """What the demonstration showed."""

    lines: list[dict[str, Any]]
    """The worklist of the photographs that were sent."""
    cases: dict[str, dict[str, Any]]
    """Each case in full, by id."""
    wrong: list[str]
    """What is not as promised; empty if all is well."""


def create_accounts(settings: Settings) -> Login:
    """Make a clinic and a clinician; their names carry a suffix, as a database may see many."""
    suffix = f"-{secrets.token_hex(3)}"
    login = Login("", f"demo{suffix}", secrets.token_urlsafe(12))
    engine = make_engine(settings)
    try:
        with outage_as_unavailable(), make_sessions(engine).begin() as session:
            _, key = add_clinic(
                session,
                name=f"Demo clinic{suffix}",
                secret_key=settings.secret_key.get_secret_value(),
            )
            add_clinician(
                session,
                username=login.username,
                display_name="Demo clinician",
                password=login.password,
            )
    finally:
        engine.dispose()
    return Login(key, login.username, login.password)


def drawn(samples: Iterator[Sample]) -> Iterator[Referral]:
    """Return the referrals of samples, drawn as they are needed."""
    for sample in samples:
        metadata = dict(sample.metadata)
        kind = ImageType(metadata.pop("image_type"))
        # Bound now: the loop's own variable will hold a later sample when this one is read.
        read = partial(attrgetter("jpeg"), sample)
        yield Referral(sample.name, (Photograph(read, kind),), metadata)


def own_photographs(paths: Sequence[Path]) -> list[Referral]:
    """Return one referral a photograph of the user's."""
    return [
        Referral(
            str(path), (Photograph(path.read_bytes),), {"clinic_reference": name_of(path)[:100]}
        )
        for path in find_photographs(paths)
    ]


def show(
    server: str,
    login: Login,
    images: Sequence[Path],
    *,
    count: int,
    seed: int,
    check: Callable[[], None],
) -> Result:
    """Send photographs, wait for their scores, and read the worklist.

    Parameters
    ----------
    server
        URL of the API.
    login
        Who sends and who reads.
    images
        The user's photographs; without any, `count` samples are drawn from `seed`.
    check
        Called while scores are waited for; raises if they cannot come.

    Raises
    ------
    DermtriageError
        If the server refuses, or scoring stands still.
    """
    referrals = own_photographs(images) if images else drawn(generate(count, seed))
    total = len(referrals) if isinstance(referrals, list) else count
    wrong: list[str] = []
    sent: dict[str, str] = {}
    with api.open_client(server, login.clinic_key) as clinic, progress() as bars:
        sending = bars.add_task("Sending photographs", total=total)
        for one in send_all(clinic, referrals):
            if one.receipt:
                sent[one.receipt["case_id"]] = one.referral.name
            else:
                wrong.append(f"{one.referral.name} was not taken: {one.error}")
            bars.advance(sending)
        scoring = bars.add_task("Scoring", total=len(sent))
        for done in _scored(clinic, set(sent)):
            check()
            bars.update(scoring, completed=done)
    with api.open_client(server) as clinician:
        api.login(clinician, login.username, login.password)
        lines = [line for line in api.worklist(clinician) if line["case_id"] in sent]
        cases = {key: api.ask(clinician, "GET", f"/v1/cases/{key}") for key in sent}
    listed = {line["case_id"] for line in lines}
    wrong += [f"{name} is not in the worklist." for key, name in sent.items() if key not in listed]
    wrong += [
        f"{sent[key]} was not scored: {image['failure'] or 'its image is still pending'}."
        for key, case in cases.items()
        for image in case["review"]["images"]
        if image["assessment"] is None
    ]
    wrong += faults([Line.of(line) for line in lines])
    return Result(lines, cases, wrong)


def _scored(clinic: httpx.Client, wanted: set[str]) -> Iterator[int]:
    """Yield how many of the wanted cases are done, until all are; as a clinic polls."""
    cursor, done = None, set[str]()
    progressed = time.monotonic()
    while len(done) < len(wanted):
        page = api.ask(
            clinic,
            "GET",
            "/v1/cases",
            params={"limit": 200} | ({"cursor": cursor} if cursor else {}),
        )
        cursor = page["next_cursor"]
        before = len(done)
        for case in page["items"]:
            pending = any(image["scoring"] == Scoring.PENDING for image in case["images"])
            if case["case_id"] in wanted and not pending:
                done.add(case["case_id"])
        if len(done) > before:
            progressed = time.monotonic()
        elif time.monotonic() - progressed > STALLED_AFTER:
            raise DemoFailed(
                f"Nothing was scored for {STALLED_AFTER:g} seconds;"
                f" {len(wanted) - len(done)} cases wait.",
                remedy="Run `dermtriage doctor`.",
            )
        yield len(done)
        if not page["has_more"]:
            time.sleep(0.2)
