"""Objects of an object store, written only while it holds the right marker."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from dermtriage.core.errors import ObjectInaccessible
from dermtriage.storage.identity import MARKER, ExpectedIdentity, parse_marker

MARKER_AGE = 10.0
"""Seconds for which a marker that was read is relied on for writing. An object store is not
unmounted; it is replaced by another one at most when somebody changes names or contents."""

NEVER = float("-inf")


class RemoteObjects:
    """Objects below the URL of an object store, named by keys with slashes.

    Every method raises `StoreMismatch` if the marker is not the one of the database,
    `FileNotFoundError` for a key that does not exist, and otherwise `BaseError` or `OSError`.

    Parameters
    ----------
    timeout
        Seconds for a request with its retries.
    """

    is_remote = True

    def __init__(self, url: str, timeout: float, expected: ExpectedIdentity) -> None:
        self._store = from_url(
            url,
            client_options={"timeout": f"{timeout:g}s", "connect_timeout": f"{timeout:g}s"},
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=timeout)},
        )
        self._expected = expected
        self._checked_at = NEVER

    def read(self, key: str) -> bytes:
        """Return the content of an object.

        Raises
        ------
        ObjectInaccessible
            If it cannot be read although the marker can.
        """
        try:
            return self._get(key)
        except FileNotFoundError:
            self.require_identity()
            raise
        except (BaseError, OSError):
            self.require_identity()
        try:
            return self._get(key)
        except FileNotFoundError:
            raise
        except (BaseError, OSError) as error:
            raise ObjectInaccessible(
                f"The image store cannot read this object: {type(error).__name__}."
            ) from error

    def write(self, key: str, data: bytes, *, durable: bool) -> None:  # noqa: ARG002 - always is
        """Write an object, in place of any earlier one; it is durable when this returns."""
        self._require_recent_identity()
        obstore.put(self._store, key, data)

    def move(self, key: str, new_key: str) -> None:
        """Move an object; its time of storage becomes the present."""
        self._require_recent_identity()
        obstore.rename(self._store, key, new_key)

    def delete(self, key: str) -> None:
        """Remove an object."""
        self._require_recent_identity()
        obstore.delete(self._store, key)

    def pages(self, prefix: str) -> Iterator[list[tuple[str, datetime]]]:
        """Yield keys below a prefix with their times of storage, a page at a time."""
        self.require_identity()
        for page in obstore.list(self._store, prefix):
            yield [(meta["path"], meta["last_modified"]) for meta in page]

    def require_identity(self) -> None:
        """Check that the store is the one of the database."""
        self._checked_at = NEVER
        self._expected.require(self.read_marker())
        self._checked_at = time.monotonic()

    def read_marker(self) -> UUID | None:
        """Return the identity in the store, whichever it is; None if there is none."""
        try:
            return parse_marker(self._get(MARKER))
        except FileNotFoundError:
            return None

    def write_marker(self, content: bytes) -> None:
        """Give the store an identity, whatever it held."""
        obstore.put(self._store, MARKER, content)

    def exists(self, key: str) -> bool:
        """Whether an object exists, whatever the identity of the store."""
        try:
            obstore.head(self._store, key)
        except FileNotFoundError:
            return False
        return True

    def is_empty(self, prefix: str) -> bool:
        """Whether no object exists below a prefix, whatever the identity of the store."""
        return not any(obstore.list(self._store, prefix))

    def _get(self, key: str) -> bytes:
        return bytes(obstore.get(self._store, key).bytes())

    def _require_recent_identity(self) -> None:
        if time.monotonic() - self._checked_at > MARKER_AGE:
            self.require_identity()
