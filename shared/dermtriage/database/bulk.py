"""Conditions of statements over many rows."""

from typing import Any

from sqlalchemy import ARRAY, ColumnElement, any_, bindparam
from sqlalchemy.orm import InstrumentedAttribute


def equals_any(column: InstrumentedAttribute[Any], name: str) -> ColumnElement[bool]:
    """Return the condition that a column holds one of the values of the list bound to `name`.

    The list is one parameter, an array: any number of values makes the same statement, and none
    reaches PostgreSQL's limit of 65,535 parameters.
    """
    return column == any_(bindparam(name, type_=ARRAY(column.type)))
