"""What the routes use: settings, database, image store and queue, opened once per process."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from dermtriage.accounts import audit
from dermtriage.clinics.own_cases import OtherClinicsCase
from dermtriage.core.settings import Settings
from dermtriage.messaging.sender import ScoreSender
from dermtriage.storage.image_store import ImageStore
from dermtriage_api.databases import Databases
from dermtriage_api.login_limits import MAX_CONCURRENT_LOGINS, LoginLimits
from dermtriage_api.threads import Threads


@dataclass(frozen=True, slots=True)
class Services:
    """The settings, the clients of database, image store and queue, and the shares of each kind."""

    settings: Settings
    databases: Databases
    store: ImageStore
    sender: ScoreSender
    threads: Threads
    login_limits: LoginLimits

    @classmethod
    def open(cls, settings: Settings) -> "Services":
        """Create the clients; neither servers nor store are contacted yet."""
        settings.require("secret_key")
        databases = Databases.open(settings)
        sender = ScoreSender(settings)
        store = ImageStore.from_settings(settings, databases.health.sessions)
        sender.start()
        threads = Threads.new(uploads=settings.database_pool_size, logins=MAX_CONCURRENT_LOGINS)
        return cls(settings, databases, store, sender, threads, LoginLimits())

    def close(self) -> None:
        """Send the messages that are still queued in this process and close the connections."""
        self.sender.stop(self.settings.redis_timeout)
        self.databases.close()

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Yield a session that is committed at the end of the block.

        A clinic's request for another clinic's case is recorded in the audit log.

        Raises
        ------
        Unavailable
            If the database cannot be reached, at the commit too.
        """
        try:
            with self.databases.reading.transaction() as session:
                yield session
        except OtherClinicsCase as refused:
            # The transaction of the request was rolled back.
            with self.databases.reading.transaction() as session:
                audit.record(
                    session,
                    actor_kind="clinic",
                    actor_id=refused.clinic_id,
                    action="case.refused",
                    case_id=refused.case_id,
                )
            raise


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]
