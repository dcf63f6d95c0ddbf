"""Identifiers of rows and objects."""

from uuid import UUID

import uuid_utils.compat


def new_id() -> UUID:
    """Return an identifier that sorts by the time it was made (UUID version 7)."""
    return uuid_utils.compat.uuid7()
