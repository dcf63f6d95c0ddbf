"""Files of a local image store: each is there whole or not at all.

Plain system calls: the library that speaks to object stores hands every file to threads of its
own, and the way there and back takes several times as long as writing it.
"""

import os
from io import BufferedWriter
from pathlib import Path
from secrets import randbits


class LocalFiles:
    """Files below one folder, named by keys with slashes.

    Every method raises `OSError` as the system does, `FileNotFoundError` among it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._durable: set[Path] = set()

    def read(self, key: str) -> bytes:
        """Return the content of a file."""
        return (self._folder / key).read_bytes()

    def write(self, key: str, data: bytes, *, durable: bool) -> None:
        """Put a file in place of any earlier one.

        Parameters
        ----------
        durable
            Whether it has reached the disk on return, and its name too.
        """
        path = self._folder / key
        # The object store's library takes names that end so for drafts, and never lists them.
        draft = path.with_name(f"{path.name}#{randbits(64)}")
        try:
            with _created(draft) as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        if durable:
            self._name_to_disk(path.parent)

    def _name_to_disk(self, folder: Path) -> None:
        _to_disk(folder)
        # The folder of a prefix may be new, so once its own parent is told too.
        if folder not in self._durable:
            _to_disk(folder.parent)
            self._durable.add(folder)


def _created(path: Path) -> BufferedWriter:
    try:
        return path.open("xb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("xb")


def _to_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
