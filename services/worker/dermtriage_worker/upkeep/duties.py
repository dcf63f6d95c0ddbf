"""The duties of upkeep: each opens its transactions and calls the domain."""

import logging

from dermtriage.cases import ageing
from dermtriage.core.clock import utcnow
from dermtriage.core.settings import Settings
from dermtriage.database.engine import make_engine, make_sessions, outage_as_unavailable
from dermtriage.messaging.celery_app import make_celery
from dermtriage.messaging.sender import send_rescores, send_scores
from dermtriage.operations import invariants, orphan_sweep, recovery
from dermtriage.rescoring import lifecycle, planning
from dermtriage.rescoring.reports.writing import runs_without_report, write_report
from dermtriage.storage.image_store import ImageStore

logger = logging.getLogger(__name__)

CASES_PER_TRANSACTION = 500
"""Cases that are aged, and stay locked, together."""


class Duties:
    """The duties of upkeep. Two processes may do one at once, and each is due again soon."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._app = make_celery(settings)
        self._sessions = make_sessions(make_engine(settings))

    def recover(self) -> None:
        """Find work that is stuck, and wake workers for it."""
        with outage_as_unavailable(), self._sessions.begin() as session:
            found = recovery.recover(session, self._settings, now=utcnow())
        send_scores(self._app, found.image_ids)
        send_rescores(self._app, found.rescore_threads)

    def end_runs(self) -> None:
        """End the rescore runs that are done, and write the missing reports."""
        with outage_as_unavailable(), self._sessions.begin() as session:
            lifecycle.finish_completed(session, now=utcnow())
        with outage_as_unavailable(), self._sessions.begin() as session:
            missing = runs_without_report(session)
        for run_id in missing:
            try:
                # In a transaction of its own: a report that fails must not prevent the others.
                with self._sessions.begin() as session:
                    write_report(session, run_id)
            except Exception:
                logger.exception("report could not be written", extra={"run_id": run_id})

    def plan_night(self) -> None:
        """Plan the rescore run of the last night, unless it is planned already."""
        with outage_as_unavailable(), self._sessions.begin() as session:
            planning.plan_night(session, self._settings, now=utcnow())

    def age(self) -> None:
        """Raise the lanes of open cases whose due interval has passed."""
        aged = CASES_PER_TRANSACTION
        while aged == CASES_PER_TRANSACTION:
            with outage_as_unavailable(), self._sessions.begin() as session:
                aged = ageing.age_cases(session, now=utcnow(), limit=CASES_PER_TRANSACTION)

    def check_invariants(self) -> None:
        """Look for rows that contradict each other."""
        with outage_as_unavailable(), self._sessions.begin() as session:
            invariants.check_invariants(session)

    def sweep(self) -> None:
        """Move originals that belong to no row into quarantine, and remove what was there long."""
        store = ImageStore.from_settings(self._settings, self._sessions)
        sweep = orphan_sweep.sweep_orphans(self._sessions, store, self._settings, now=utcnow())
        logger.info("orphans swept", extra={"moved": sweep.moved, "deleted": sweep.deleted})
