"""How much memory the bodies of uploads may take at once, in all and per sender.

Only bytes that have arrived are counted, so a length that is declared and not sent takes no room.
Counted per process, on the event loop, so nothing is locked.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from http import HTTPStatus

from dermtriage_api.http.problems import RETRY_AFTER, HTTPProblem

FULL_UPLOADS_AT_ONCE = 16
"""Uploads of the largest size that fit into the memory for bodies; of smaller ones, more fit."""

CLINIC_SHARE = 4
"""Of these, how many may be one clinic's."""

ADDRESS_SHARE = 8
"""Of these, how many may come from one address, behind which several clinics may be."""


class UploadRoom:
    """The bytes that are held, by whom they came from.

    Parameters
    ----------
    full_upload
        Bytes of the largest upload.
    """

    def __init__(self, full_upload: int) -> None:
        self._full_upload = full_upload
        self._held: Counter[Hashable] = Counter()

    def enter(self, clinic: Hashable, address: str, declared: int) -> "HeldBytes":
        """Begin an upload.

        Parameters
        ----------
        declared
            Bytes that it will have, as far as it says so: one that cannot find room at the moment
            is refused before it is sent.

        Raises
        ------
        HTTPProblem
            If there is no room.
        """
        limits = [
            ("all", FULL_UPLOADS_AT_ONCE * self._full_upload),
            (("clinic", clinic), CLINIC_SHARE * self._full_upload),
            (("address", address), ADDRESS_SHARE * self._full_upload),
        ]
        held = HeldBytes(self._held, limits)
        held.check(max(declared, 1))
        return held


class HeldBytes:
    """The bytes of one upload that are held."""

    def __init__(self, held: Counter[Hashable], limits: Sequence[tuple[Hashable, int]]) -> None:
        self._held = held
        self._limits = limits
        self._own = 0

    def check(self, size: int) -> None:
        """Raise if there is no room for so many more bytes."""
        if any(self._held[who] + size > limit for who, limit in self._limits):
            raise HTTPProblem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "busy",
                "Too many uploads are arriving at the moment.",
                remedy="Send the same request again in a few seconds.",
                headers={"Retry-After": RETRY_AFTER},
            )

    def add(self, size: int) -> None:
        """Count bytes that have arrived; raise if there was no room for them."""
        self.check(size)
        self._own += size
        for who, _ in self._limits:
            self._held[who] += size

    def release(self) -> None:
        """Give the room back at the end of the request."""
        for who, _ in self._limits:
            self._held[who] -= self._own
            if not self._held[who]:
                del self._held[who]
        self._own = 0
