"""The image store: a local folder or an object store, behind one interface.

Keys are made of our own identifiers only. They start with the last two hexadecimal digits of the
id: ids sort by time, and an object store balances its load by prefix.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, cast
from uuid import UUID, uuid4

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from dermtriage.core.errors import NotFound, Unavailable
from dermtriage.core.settings import Settings
from dermtriage.imaging import jpeg_metadata
from dermtriage.storage.local_files import LocalFiles

Kind = Literal["originals", "renditions", "heat_maps"]


def _key(kind: Kind, image_id: UUID) -> str:
    return f"{kind}/{image_id.hex[-2:]}/{image_id}"


def _image_id(path: str) -> UUID | None:
    # Objects that are not ours are left alone.
    try:
        return UUID(path.rsplit("/", 1)[1])
    except ValueError:
        return None


@contextmanager
def _outage_as_unavailable() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound("The store holds no such object.", code="object_missing") from error
    except (BaseError, OSError) as error:
        raise Unavailable("The image store cannot be reached.", code="store_unavailable") from error


class ImageStore:
    """Originals as they arrived, their renditions, and heat maps.

    Every method raises `Unavailable` while the store cannot be reached. A read raises `NotFound`
    for an object that does not exist, or that a power failure left incomplete.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self._files: LocalFiles | None = None
        with _outage_as_unavailable():
            if url.startswith("file:"):
                self._store = from_url(url, mkdir=True)
                self._files = LocalFiles(Path(str(cast(LocalStore, self._store).prefix)))
            else:
                self._store = from_url(
                    url,
                    client_options={"timeout": f"{timeout:g}s", "connect_timeout": f"{timeout:g}s"},
                    retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=timeout)},
                )

    @property
    def is_remote(self) -> bool:
        """Whether objects are read over a network, many times slower than from a local file."""
        return self._files is None

    @classmethod
    def from_settings(cls, settings: Settings) -> "ImageStore":
        """Open the store that the settings name."""
        settings.require("store_url")
        return cls(settings.store_url, 2 * settings.connect_timeout)

    def put_original(self, image_id: UUID, data: bytes) -> None:
        """Store a photograph as it arrived; it is on the disk when this returns."""
        self._put(_key("originals", image_id), data, durable=True)

    def get_original(self, image_id: UUID) -> bytes:
        """Return a photograph as it arrived."""
        return self._get(_key("originals", image_id))

    def delete_original(self, image_id: UUID) -> None:
        """Remove the original of a photograph; does nothing if there is none."""
        try:
            with _outage_as_unavailable():
                obstore.delete(self._store, _key("originals", image_id))
        except NotFound:
            return

    def put_rendition(self, image_id: UUID, data: bytes) -> None:
        """Store the rendition of a photograph, in place of any earlier one."""
        # Not durable: a rendition that a power failure lost is made again from its original.
        self._put(_key("renditions", image_id), data)

    def get_rendition(self, image_id: UUID) -> bytes:
        """Return the rendition of a photograph."""
        return self._get_picture(_key("renditions", image_id))

    def put_heat_map(self, image_id: UUID, release: str, data: bytes) -> None:
        """Store the heat map by which a release explains a photograph's score."""
        # Not durable: a heat map that a power failure lost is missing, the score is not.
        self._put(f"{_key('heat_maps', image_id)}/{release}", data)

    def get_heat_map(self, image_id: UUID, release: str) -> bytes:
        """Return the heat map by which a release explains a photograph's score."""
        return self._get_picture(f"{_key('heat_maps', image_id)}/{release}")

    def originals_before(self, moment: datetime) -> Iterator[list[UUID]]:
        """Yield the ids of the originals that were stored before `moment`, a page at a time."""
        with _outage_as_unavailable():
            for page in obstore.list(self._store, "originals"):
                old = (meta["path"] for meta in page if meta["last_modified"] < moment)
                yield [image_id for path in old if (image_id := _image_id(path))]

    def check(self) -> None:
        """Write, read and remove a small object."""
        # Other processes may check at the same time, so each check uses an object of its own.
        key = f"checks/{uuid4()}"
        try:
            with _outage_as_unavailable():
                obstore.put(self._store, key, b"dermtriage")
                obstore.get(self._store, key).bytes()
                obstore.delete(self._store, key)
        except NotFound as error:
            raise Unavailable(
                "The image store loses objects that are written to it.", code="store_unavailable"
            ) from error

    def _put(self, key: str, data: bytes, *, durable: bool = False) -> None:
        with _outage_as_unavailable():
            if self._files is not None:
                self._files.write(key, data, durable=durable)
            else:
                # An object store responds once the object is durable.
                obstore.put(self._store, key, data)

    def _get(self, key: str) -> bytes:
        with _outage_as_unavailable():
            try:
                if self._files is not None:
                    return self._files.read(key)
                return bytes(obstore.get(self._store, key).bytes())
            except FileNotFoundError:
                self._require_originals()
                raise

    def _get_picture(self, key: str) -> bytes:
        """Return a JPEG that we wrote, unless a power failure left it incomplete."""
        picture = self._get(key)
        if not jpeg_metadata.has_end(picture):
            raise NotFound("The object in the store is incomplete.", code="object_incomplete")
        return picture

    def _require_originals(self) -> None:
        # Only objects that rows refer to are read. If the store holds no original at all, it is the
        # wrong store: a disk is not mounted, or the bucket's name is wrong.
        if not any(obstore.list(self._store, "originals")):
            raise Unavailable("The image store is empty.", code="store_unavailable")
