"""Identifiers of rows and objects."""

from uuid import UUID

import uuid_utils.compat


def new_id() -> UUID:
    """Return a new identifier; identifiers sort by creation time (UUID version 7)."""
    return uuid_utils.compat.uuid7()
