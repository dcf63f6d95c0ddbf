"""Column habits that every table family shares."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from sqlalchemy import CheckConstraint, Enum, func
from sqlalchemy.orm import mapped_column

from dermtriage.core.ids import new_id

MAX_ACTOR, MAX_REASON = 100, 500
"""Characters of who did something, and why."""

Id = Annotated[UUID, mapped_column(primary_key=True, default=new_id)]
CreatedAt = Annotated[datetime, mapped_column(server_default=func.now())]


def word(enum: type[StrEnum]) -> Enum:
    """Return a text column type that holds the values of `enum`.

    A native PostgreSQL enum could only be changed under a lock on its type; the permitted words
    are held by a CHECK constraint beside the column instead.
    """
    return Enum(
        enum,
        native_enum=False,
        create_constraint=False,
        length=32,
        values_callable=lambda members: [member.value for member in members],
    )


def one_of(column: str, enum: type[StrEnum]) -> CheckConstraint:
    """Return the constraint that holds `column` to the values of `enum`."""
    words = ", ".join(f"'{member.value}'" for member in enum)
    return CheckConstraint(f"{column} IN ({words})", name=column)
