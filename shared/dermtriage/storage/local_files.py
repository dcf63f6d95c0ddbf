"""Files of a local image store, written durably, and only beside the right marker.

obstore's `LocalStore` only lists them. It does not call fsync, so that what it has written may be
lost in a power failure; and it makes its folder, so that an unmounted disk goes unnoticed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from uuid import UUID

import obstore
from obstore.store import LocalStore

from dermtriage.core.errors import ObjectInaccessible, Unavailable
from dermtriage.storage.identity import MARKER, ExpectedIdentity, parse_marker
from dermtriage.storage.open_folder import OpenFolder


class LocalFiles:
    """Files in one folder, named by keys with slashes. The folder itself is never made.

    What changes the store opens its folder, reads the marker in it and acts in the folder that it
    holds open: where the marker was read is where the file is written, even if the disk is
    unmounted in between.

    Every method raises `Unavailable` if the folder or its marker cannot be read, `StoreMismatch` if
    the marker is not the one of the database, `FileNotFoundError` for a key that does not exist,
    and otherwise `OSError`.
    """

    is_remote = False

    def __init__(self, path: Path, expected: ExpectedIdentity) -> None:
        self._path = path
        self._expected = expected
        self._synced_folders: set[str] = set()

    def read(self, key: str) -> bytes:
        """Return the content of a file.

        Raises
        ------
        ObjectInaccessible
            If it cannot be read although the marker can.
        """
        try:
            return (self._path / key).read_bytes()
        except OSError:
            # Only beside the right marker does this say anything about the file.
            with self._store_folder(from_disk=True) as folder:
                return _read_again(folder, key)

    def write(self, key: str, data: bytes, *, durable: bool) -> None:
        """Write a file, in place of any earlier one; readers see the old or the new one, complete.

        Parameters
        ----------
        durable
            Whether content and name are on the disk when this returns.
        """
        with self._store_folder() as folder:
            folder.write(key, data, durable=durable)
            if durable:
                self._sync_name(folder, key)

    def move(self, key: str, new_key: str) -> None:
        """Move a file; its time of storage becomes the present."""
        with self._store_folder() as folder:
            folder.move(key, new_key)

    def delete(self, key: str) -> None:
        """Remove a file."""
        with self._store_folder() as folder:
            folder.delete(key)

    def pages(self, prefix: str) -> Iterator[list[tuple[str, datetime]]]:
        """Yield keys below a prefix with their times of storage, a page at a time."""
        self.require_identity()
        for page in obstore.list(LocalStore(str(self._path)), prefix):
            yield [(meta["path"], meta["last_modified"]) for meta in page]

    def require_identity(self) -> None:
        """Check that the folder is the store of the database."""
        with self._store_folder(from_disk=True):
            pass

    def read_marker(self) -> UUID | None:
        """Return the identity in the folder, whichever it is; None if there is none."""
        with self._open_folder() as folder:
            return _marker(folder, from_disk=True)

    def write_marker(self, content: bytes) -> None:
        """Give the folder an identity, whatever it held."""
        with self._open_folder() as folder:
            folder.write(MARKER, content, durable=True)
            folder.sync("")

    def exists(self, key: str) -> bool:
        """Whether a file exists, whatever the identity of the folder."""
        return (self._path / key).is_file()

    def is_empty(self, prefix: str) -> bool:
        """Whether no file exists below a prefix, whatever the identity of the folder."""
        with self._open_folder():
            return not any(obstore.list(LocalStore(str(self._path)), prefix))

    def _open_folder(self) -> OpenFolder:
        try:
            return OpenFolder(self._path)
        except OSError as error:
            raise Unavailable(
                "The folder of the image store cannot be opened.", code="store_unavailable"
            ) from error

    @contextmanager
    def _store_folder(self, *, from_disk: bool = False) -> Iterator[OpenFolder]:
        with self._open_folder() as folder:
            self._expected.require(_marker(folder, from_disk=from_disk))
            yield folder

    def _sync_name(self, folder: OpenFolder, key: str) -> None:
        parent = key.rpartition("/")[0]
        folder.sync(parent)
        # The folder itself may be new: then its name is in its parent.
        if parent not in self._synced_folders:
            folder.sync(parent.rpartition("/")[0])
            self._synced_folders.add(parent)


def _marker(folder: OpenFolder, *, from_disk: bool) -> UUID | None:
    try:
        return parse_marker(folder.read(MARKER, from_disk=from_disk))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unavailable("The image store cannot be read.", code="store_unavailable") from error


def _read_again(folder: OpenFolder, key: str) -> bytes:
    try:
        return folder.read(key)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ObjectInaccessible(
            f"The image store cannot read this object: {error.strerror}."
        ) from error
