"""Adopt an image store: pair it with this database on an operator's word."""

from uuid import UUID

from sqlalchemy.orm import Session

from dermtriage.accounts import audit
from dermtriage.storage.identity import stored_identity
from dermtriage.storage.image_store import ImageStore
from dermtriage.storage.pairing import set_pair


def adopt_store(session: Session, store: ImageStore, *, actor: str) -> UUID:
    """Give database and store a new common identity, and record who asked for it.

    Returns
    -------
    UUID
        The new identity.

    Raises
    ------
    Unavailable
        If the store cannot be reached.
    """
    in_database, in_store = stored_identity(session), store.identity()
    adopted = set_pair(session, store)
    audit.record(
        session,
        actor_kind="operator",
        actor_id=None,
        action="store.adopted",
        by=actor,
        identity=adopted,
        identity_of_database=in_database,
        identity_of_store=in_store,
    )
    return adopted
