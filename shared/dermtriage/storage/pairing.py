"""Pair a database with its image store: give both one identity."""

from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from dermtriage.core.errors import StoreMismatch
from dermtriage.models import Image, StoreIdentity
from dermtriage.storage.identity import stored_identity
from dermtriage.storage.image_store import ImageStore

SAMPLE = 100
"""Newest images of the database that are looked for in a store."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What a database and a store hold of each other.

    Attributes
    ----------
    in_database, in_store
        The identities; None for one that is missing.
    sampled, present
        How many of the newest images of the database were looked for, and how many originals of
        them the store holds.
    """

    in_database: UUID | None
    in_store: UUID | None
    sampled: int
    present: int

    @property
    def matches(self) -> bool:
        """Whether both hold the same identity."""
        return self.in_database is not None and self.in_database == self.in_store


def examine_pair(session: Session, store: ImageStore) -> Pair:
    """Return what database and store hold of each other.

    Raises
    ------
    Unavailable
        If the store cannot be reached.
    """
    newest = session.scalars(select(Image.id).order_by(Image.id.desc()).limit(SAMPLE)).all()
    return Pair(
        in_database=stored_identity(session),
        in_store=store.identity(),
        sampled=len(newest),
        present=sum(store.has_original(image_id) for image_id in newest),
    )


def pair_new_store(session: Session, store: ImageStore) -> UUID | None:
    """Pair a new database with an empty store, unless the database is paired already.

    It is safe to do this in several processes at once.

    Returns
    -------
    UUID or None
        The common identity; None if the database had one, whatever the store holds.

    Raises
    ------
    StoreMismatch
        If the database has images, or the store has an identity or originals; the caller rolls
        back.
    Unavailable
        If the store cannot be reached.
    """
    # Of several processes one inserts the row; the others wait for its commit, and find it.
    identity: UUID | None = session.scalar(
        insert(StoreIdentity)
        .values(store_id=uuid4())
        .on_conflict_do_nothing()
        .returning(StoreIdentity.store_id)
    )
    if identity is None:
        return None
    if session.scalar(select(Image.id).limit(1)) is not None:
        raise StoreMismatch("The database has images, but has not been paired with a store.")
    if store.identity() is not None:
        raise StoreMismatch("The image store belongs to another database.")
    if not store.has_no_originals():
        raise StoreMismatch("The image store holds photographs, and this database is new.")
    store.set_identity(identity)
    return identity


def set_pair(session: Session, store: ImageStore) -> UUID:
    """Give database and store a new common identity, whatever they held.

    A database that was paired with this store before loses it. Processes that run find the new
    identity by themselves.
    """
    identity = uuid4()
    session.execute(
        insert(StoreIdentity)
        .values(store_id=identity)
        .on_conflict_do_update(
            index_elements=["only_row"], set_={"store_id": identity, "created_at": func.now()}
        )
    )
    store.set_identity(identity)
    return identity
