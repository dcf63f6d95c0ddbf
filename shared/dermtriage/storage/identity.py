"""The identity that an image store and its database share.

The store holds it in a marker object, the database in a row. An empty mount point has no marker,
and the store of another database has another one: neither is written, and nothing counts as
missing from it.
"""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from dermtriage.core.errors import StoreMismatch
from dermtriage.database.engine import outage_as_unavailable
from dermtriage.models import StoreIdentity

MARKER = "store-identity"
"""Key of the marker object."""


def stored_identity(session: Session) -> UUID | None:
    """Return the identity of the store that belongs to this database; None if it has none yet."""
    return session.scalar(select(StoreIdentity.store_id))


def parse_marker(content: bytes) -> UUID | None:
    """Return the identity in a marker object; None if it holds none."""
    try:
        return UUID(content.decode())
    except ValueError:
        return None


class ExpectedIdentity:
    """The identity that the database expects of its store.

    It is read once and then compared in memory. If a marker differs from it, it is read again: an
    operator may have adopted a store meanwhile.
    """

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self._sessions = sessions
        self._expected: UUID | None = None

    def forget(self) -> None:
        """Read the identity again when it is needed next: the database may be another one."""
        self._expected = None

    def require(self, found: UUID | None) -> None:
        """Check the identity that a store holds.

        Raises
        ------
        StoreMismatch
            If it is not the one of this database, or either has none.
        Unavailable
            If the database cannot be reached, and its identity is not known or differs.
        """
        if found is not None and found == self._expected:
            return
        with outage_as_unavailable(), self._sessions() as session:
            self._expected = stored_identity(session)
        if self._expected is None:
            raise StoreMismatch(
                "This database has not been paired with an image store.",
                remedy="Run `dermtriage db upgrade`, or `dermtriage store adopt` if it has cases.",
            )
        if found is None:
            raise StoreMismatch(
                "The image store has no marker of its identity: its disk may not be mounted."
            )
        if found != self._expected:
            raise StoreMismatch("The image store belongs to another database.")
