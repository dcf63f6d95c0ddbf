"""Which image store belongs to this database."""

from uuid import UUID

from sqlalchemy import CheckConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from dermtriage.database.base import Base
from dermtriage.models._columns import CreatedAt


class StoreIdentity(Base):
    """The identity that the database shares with its image store; at most one row."""

    __tablename__ = "store_identity"
    __table_args__ = (CheckConstraint("only_row", name="only_row"),)

    only_row: Mapped[bool] = mapped_column(
        primary_key=True, default=True, server_default=text("true")
    )
    store_id: Mapped[UUID]
    """What the marker object of the store holds as well."""
    created_at: Mapped[CreatedAt]
    """When database and store were paired."""
