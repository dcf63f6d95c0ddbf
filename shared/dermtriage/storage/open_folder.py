"""Files below a folder that is held open, so that all are of the same disk.

A path may lead to another disk at each use: one can be unmounted at any moment. A descriptor does
not.
"""

import os
from contextlib import suppress
from pathlib import Path
from secrets import randbits
from types import TracebackType
from typing import Self


class OpenFolder:
    """A folder that exists; a context manager that closes it.

    Every method raises `OSError`, and `FileNotFoundError` for a key that does not exist. Folders
    below it are made when they are needed.
    """

    def __init__(self, path: Path) -> None:
        self._root = os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._root)

    def read(self, key: str, *, from_disk: bool = False) -> bytes:
        """Return the content of a file.

        Parameters
        ----------
        from_disk
            Whether to read past the system's cache: a disk that fails is noticed then.
        """
        descriptor = os.open(key, os.O_RDONLY, dir_fd=self._root)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            if from_disk and hasattr(os, "posix_fadvise"):
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            return file.readall()

    def write(self, key: str, data: bytes, *, durable: bool) -> None:
        """Write a file, in place of any earlier one; readers see the old or the new one, complete.

        Parameters
        ----------
        durable
            Whether the content is on the disk when this returns; for its name see `sync`.
        """
        # obstore treats names with this suffix as temporary files and does not list them.
        temporary = f"{key}#{randbits(64)}"
        try:
            with os.fdopen(self._create(temporary), "wb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(temporary, key, src_dir_fd=self._root, dst_dir_fd=self._root)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=self._root)
            raise

    def move(self, key: str, new_key: str) -> None:
        """Move a file; its time of storage becomes the present."""
        # Before the move: at its new place it must not look old for a moment.
        os.utime(key, dir_fd=self._root)
        self._make_parents(new_key)
        os.replace(key, new_key, src_dir_fd=self._root, dst_dir_fd=self._root)

    def delete(self, key: str) -> None:
        """Remove a file."""
        os.unlink(key, dir_fd=self._root)

    def sync(self, folder: str) -> None:
        """Have the names in a folder, such as ``originals``, on the disk; empty: this folder's."""
        descriptor = os.open(folder or ".", os.O_RDONLY, dir_fd=self._root)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _create(self, key: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            return os.open(key, flags, 0o666, dir_fd=self._root)
        except FileNotFoundError:
            self._make_parents(key)
            return os.open(key, flags, 0o666, dir_fd=self._root)

    def _make_parents(self, key: str) -> None:
        parts = key.split("/")[:-1]
        for length in range(1, len(parts) + 1):
            with suppress(FileExistsError):
                os.mkdir("/".join(parts[:length]), dir_fd=self._root)
