"""Files of a local image store, written atomically and durably.

obstore's `LocalStore` is not used for this, because it does not call fsync: what it has written may
be lost in a power failure.
"""

import os
from io import BufferedWriter
from pathlib import Path
from secrets import randbits


class LocalFiles:
    """Files in one folder, named by keys with slashes.

    Every method raises `OSError`, and `FileNotFoundError` for a key that does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._synced_folders: set[Path] = set()

    def read(self, key: str) -> bytes:
        """Return the content of a file."""
        return (self._folder / key).read_bytes()

    def write(self, key: str, data: bytes, *, durable: bool) -> None:
        """Write a file, in place of any earlier one; readers see the old or the new one, complete.

        Parameters
        ----------
        durable
            Whether content and name are on the disk when this returns.
        """
        path = self._folder / key
        # obstore treats names with this suffix as temporary files and does not list them.
        temporary = path.with_name(f"{path.name}#{randbits(64)}")
        try:
            with _created(temporary) as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if durable:
            self._sync_name(path.parent)

    def _sync_name(self, folder: Path) -> None:
        _sync_folder(folder)
        # The folder itself may be new: then its name is in its parent.
        if folder not in self._synced_folders:
            _sync_folder(folder.parent)
            self._synced_folders.add(folder)


def _created(path: Path) -> BufferedWriter:
    try:
        return path.open("xb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("xb")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
