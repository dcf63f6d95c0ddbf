"""The demonstration: photographs in, a worklist out, over the same HTTP API as a clinic's."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from dermtriage.core.enums import Scoring
from dermtriage.core.errors import DermtriageError
from dermtriage_cli import api_client as api
from dermtriage_cli.demo.accounts import Accounts
from dermtriage_cli.demo.referrals import photograph_referrals, sample_referrals
from dermtriage_cli.demo.samples import generate
from dermtriage_cli.demo.worklist_order import Line, order_faults
from dermtriage_cli.submission.sender import send_all
from dermtriage_cli.terminal.output import progress

STALLED_AFTER = 180.0
"""Seconds without a new score after which the demonstration fails."""


class DemoFailed(DermtriageError):
    """Scoring does not progress."""

    code = "demo_failed"


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The outcome of a demonstration."""

    lines: list[dict[str, Any]]
    """The worklist of the photographs that were sent."""
    cases: dict[str, dict[str, Any]]
    """Each case in full, by id."""
    faults: list[str]
    """What is wrong, in words; empty if nothing is."""


def run_demo(
    server: str,
    accounts: Accounts,
    images: Sequence[Path],
    *,
    count: int,
    seed: int,
    check: Callable[[], None],
) -> DemoResult:
    """Send photographs, wait for their scores, and read the worklist.

    Parameters
    ----------
    server
        URL of the API.
    accounts
        The clinic that sends and the clinician who reads.
    images
        The user's photographs; without any, `count` samples are drawn with `seed`.
    check
        Called while waiting for scores; raises if none can come.

    Raises
    ------
    DermtriageError
        If the server refuses, or scoring does not progress.
    """
    referrals = photograph_referrals(images) if images else sample_referrals(generate(count, seed))
    total = len(referrals) if isinstance(referrals, list) else count
    faults: list[str] = []
    sent: dict[str, str] = {}
    with api.open_client(server, accounts.clinic_key) as clinic, progress() as bars:
        sending = bars.add_task("Sending photographs", total=total)
        for result in send_all(clinic, referrals):
            if result.receipt:
                sent[result.receipt["case_id"]] = result.referral.name
            else:
                faults.append(f"{result.referral.name} was not accepted: {result.error}")
            bars.advance(sending)
        scoring = bars.add_task("Scoring", total=len(sent))
        for done in _scored(clinic, set(sent)):
            check()
            bars.update(scoring, completed=done)
    with api.open_client(server) as clinician:
        api.login(clinician, accounts.username, accounts.password)
        lines = [line for line in api.worklist(clinician) if line["case_id"] in sent]
        cases = {key: api.call(clinician, "GET", f"/v1/cases/{key}") for key in sent}
    listed = {line["case_id"] for line in lines}
    faults += [f"{name} is not in the worklist." for key, name in sent.items() if key not in listed]
    faults += [
        f"{sent[key]} was not scored: {image['failure'] or 'its image is still pending'}."
        for key, case in cases.items()
        for image in case["review"]["images"]
        if image["assessment"] is None
    ]
    faults += order_faults([Line.of(line) for line in lines])
    return DemoResult(lines, cases, faults)


def _scored(clinic: httpx.Client, wanted: set[str]) -> Iterator[int]:
    """Yield the number of wanted cases that are scored, until all are; reads as a clinic polls."""
    cursor, done = None, set[str]()
    progressed = time.monotonic()
    while len(done) < len(wanted):
        page = api.call(
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
                f" {len(wanted) - len(done)} cases are waiting.",
                remedy="Run `dermtriage doctor`.",
            )
        yield len(done)
        if not page["has_more"]:
            time.sleep(0.2)
