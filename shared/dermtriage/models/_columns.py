"""Column types and constraints that several table families use."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from sqlalchemy import CheckConstraint, Enum, func
from sqlalchemy.orm import mapped_column

from dermtriage.core.ids import new_id

MAX_ACTOR, MAX_REASON = 100, 500
"""The longest name of an actor, and the longest reason, in characters."""

Id = Annotated[UUID, mapped_column(primary_key=True, default=new_id)]
CreatedAt = Annotated[datetime, mapped_column(server_default=func.now())]


def enum_type(enum: type[StrEnum]) -> Enum:
    """Return a text column type that holds the values of `enum`.

    Not a native PostgreSQL enum, which is harder to change in a migration: the permitted values
    are enforced by a CHECK constraint instead, see `one_of`.
    """
    return Enum(
        enum,
        native_enum=False,
        create_constraint=False,
        length=32,
        values_callable=lambda members: [member.value for member in members],
    )


def one_of(column: str, enum: type[StrEnum]) -> CheckConstraint:
    """Return the CHECK constraint that `column` holds a value of `enum`."""
    values = ", ".join(f"'{member.value}'" for member in enum)
    return CheckConstraint(f"{column} IN ({values})", name=column)
