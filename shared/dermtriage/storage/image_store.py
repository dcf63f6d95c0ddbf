"""The image store: a local folder or an object store, behind one interface."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import UUID, uuid4

from obstore.exceptions import BaseError
from sqlalchemy.orm import Session, sessionmaker

from dermtriage.core.errors import NotFound, ObjectInaccessible, Unavailable
from dermtriage.core.settings import Settings
from dermtriage.imaging import jpeg_metadata
from dermtriage.storage.identity import ExpectedIdentity
from dermtriage.storage.keys import Kind, StoredOriginal, object_key, stored_originals
from dermtriage.storage.local_files import LocalFiles
from dermtriage.storage.remote_objects import RemoteObjects


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

    Every method raises `Unavailable` while the store cannot be reached, and its subclass
    `StoreMismatch` while it is not the store of the database: nothing is written to it then, and
    nothing counts as missing. `ObjectInaccessible`, another subclass, is raised if one object alone
    cannot be read or written. A read raises `NotFound` for an object that does not exist, or that a
    power failure left incomplete.

    Parameters
    ----------
    url
        ``file:///folder`` or ``s3://bucket/prefix``. A folder has to exist.
    timeout
        Seconds for a request to an object store.
    sessions
        Of the database that the store belongs to.
    """

    def __init__(self, url: str, timeout: float, sessions: sessionmaker[Session]) -> None:
        self._expected = ExpectedIdentity(sessions)
        self._objects: LocalFiles | RemoteObjects
        if url.startswith("file:"):
            self._objects = LocalFiles(Path(unquote(urlsplit(url).path)), self._expected)
        else:
            with _outage_as_unavailable():
                self._objects = RemoteObjects(url, timeout, self._expected)

    @property
    def is_remote(self) -> bool:
        """Whether objects are read over a network, many times slower than from a local file."""
        return self._objects.is_remote

    @classmethod
    def from_settings(cls, settings: Settings, sessions: sessionmaker[Session]) -> "ImageStore":
        """Return the store that the settings name; it is not contacted yet."""
        settings.require("store_url")
        return cls(settings.store_url, 2 * settings.connect_timeout, sessions)

    def put_original(self, image_id: UUID, data: bytes) -> None:
        """Store a photograph as it arrived; it is on the disk when this returns."""
        self._put("originals", object_key("originals", image_id), data, durable=True)

    def get_original(self, image_id: UUID, sha256: bytes) -> bytes:
        """Return a photograph as it arrived.

        Parameters
        ----------
        sha256
            Of the photograph that arrived. `NotFound` is raised if the stored bytes have another:
            they have changed, or are another photograph's.
        """
        original = self._get(object_key("originals", image_id))
        if hashlib.sha256(original).digest() != sha256:
            raise NotFound(
                "The stored file is not the photograph that was received: its SHA-256 differs.",
                remedy="Restore it from a backup, or ask the clinic for a new one.",
                code="original_changed",
            )
        return original

    def delete_original(self, image_id: UUID) -> None:
        """Remove the original of a photograph; does nothing if there is none."""
        self._delete(object_key("originals", image_id))

    def put_rendition(self, image_id: UUID, data: bytes) -> None:
        """Store the rendition of a photograph, in place of any earlier one."""
        # Not durable: a rendition that a power failure lost is made again from its original.
        self._put("renditions", object_key("renditions", image_id), data)

    def get_rendition(self, image_id: UUID) -> bytes:
        """Return the rendition of a photograph."""
        return self._get_picture(object_key("renditions", image_id))

    def put_heat_map(self, image_id: UUID, release: str, data: bytes) -> None:
        """Store the heat map by which a release explains a photograph's score."""
        # Not durable: a heat map that a power failure lost is missing, the score is not.
        self._put("heat_maps", f"{object_key('heat_maps', image_id)}/{release}", data)

    def get_heat_map(self, image_id: UUID, release: str) -> bytes:
        """Return the heat map by which a release explains a photograph's score."""
        return self._get_picture(f"{object_key('heat_maps', image_id)}/{release}")

    def originals(self) -> Iterator[list[StoredOriginal]]:
        """Yield the originals, a page at a time."""
        return self._list("originals")

    def quarantined(self) -> Iterator[list[StoredOriginal]]:
        """Yield the originals in quarantine, a page at a time."""
        return self._list("quarantine")

    def quarantine_original(self, image_id: UUID) -> None:
        """Move an original into quarantine: it can be moved back, and nobody reads it."""
        self._move(image_id, "originals", "quarantine")

    def restore_original(self, image_id: UUID) -> None:
        """Move an original back out of quarantine."""
        self._move(image_id, "quarantine", "originals")

    def delete_quarantined(self, image_id: UUID) -> None:
        """Remove an original in quarantine; does nothing if there is none."""
        self._delete(object_key("quarantine", image_id))

    def check(self) -> None:
        """Check that the store is the database's, and that objects can be written and read."""
        self._expected.forget()
        # Other processes may check at the same time, so each check uses an object of its own.
        key = f"checks/{uuid4()}"
        try:
            with _outage_as_unavailable():
                self._objects.require_identity()
                self._objects.write(key, b"dermtriage", durable=False)
                self._objects.read(key)
                self._objects.delete(key)
        except NotFound as error:
            raise Unavailable(
                "The image store loses objects that are written to it.", code="store_unavailable"
            ) from error

    def identity(self) -> UUID | None:
        """Return the identity that the store holds, whichever it is; None if it holds none."""
        with _outage_as_unavailable():
            return self._objects.read_marker()

    def set_identity(self, identity: UUID) -> None:
        """Give the store an identity, whatever it held: only pairing and adoption do that."""
        with _outage_as_unavailable():
            self._objects.write_marker(str(identity).encode())

    def has_original(self, image_id: UUID) -> bool:
        """Whether the store holds an original, whatever its identity."""
        with _outage_as_unavailable():
            return self._objects.exists(object_key("originals", image_id))

    def has_no_originals(self) -> bool:
        """Whether the store holds no original at all, whatever its identity."""
        with _outage_as_unavailable():
            return self._objects.is_empty("originals")

    def _put(self, kind: Kind, key: str, data: bytes, *, durable: bool = False) -> None:
        try:
            self._objects.write(key, data, durable=durable)
        except (BaseError, OSError) as error:
            self._require_writable(kind, data, durable=durable)
            raise ObjectInaccessible(
                f"The image store cannot write this object: {type(error).__name__}."
            ) from error

    def _require_writable(self, kind: Kind, data: bytes, *, durable: bool) -> None:
        """Check that the same bytes can be written elsewhere: a full disk takes them nowhere."""
        probe = f"{kind}/check-{uuid4()}"
        try:
            self._objects.write(probe, data, durable=durable)
            self._objects.delete(probe)
        except (BaseError, OSError) as error:
            raise Unavailable(
                "The image store cannot be written.", code="store_unavailable"
            ) from error

    def _get(self, key: str) -> bytes:
        with _outage_as_unavailable():
            return self._objects.read(key)

    def _get_picture(self, key: str) -> bytes:
        """Return a JPEG that we wrote, unless a power failure left it incomplete."""
        picture = self._get(key)
        if not jpeg_metadata.has_end(picture):
            raise NotFound("The object in the store is incomplete.", code="object_incomplete")
        return picture

    def _delete(self, key: str) -> None:
        with suppress(NotFound), _outage_as_unavailable():
            self._objects.delete(key)

    def _move(self, image_id: UUID, kind: Kind, new_kind: Kind) -> None:
        with _outage_as_unavailable():
            self._objects.move(object_key(kind, image_id), object_key(new_kind, image_id))

    def _list(self, kind: Kind) -> Iterator[list[StoredOriginal]]:
        with _outage_as_unavailable():
            for page in self._objects.pages(kind):
                yield stored_originals(page)
