"""The exceptions of dermtriage, in one hierarchy.

The text of an exception is written for people: what happened, and what to do about it. Its `code`
is stable, so that programs can act on it. The API maps each class to an HTTP status.
"""


class DermtriageError(Exception):
    """Base of every error that dermtriage raises on purpose.

    Parameters
    ----------
    detail
        What happened, in a sentence for people.
    remedy
        What to do about it; by default the text of the class.
    code
        A stable identifier for programs; by default that of the class.
    """

    code = "error"
    remedy = ""

    def __init__(self, detail: str, *, remedy: str | None = None, code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy if remedy is not None else type(self).remedy
        self.code = code if code is not None else type(self).code

    def __str__(self) -> str:
        return f"{self.detail} {self.remedy}".strip()


class ImageRejected(DermtriageError):
    """The file is not an acceptable photograph."""

    code = "image_rejected"
    field: str | None = None
    """The file within the request, such as ``images[0]``, if it came by one."""


class RequestRejected(DermtriageError):
    """The request contradicts itself or refers to something that does not exist."""

    code = "invalid_request"

    def __init__(
        self,
        detail: str,
        *,
        field: str | None = None,
        remedy: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(detail, remedy=remedy, code=code)
        self.field = field


class NotAuthenticated(DermtriageError):
    """Authentication failed."""

    code = "not_authenticated"


class NotAllowed(DermtriageError):
    """The caller is authenticated but not permitted to do this."""

    code = "not_allowed"


class NotFound(DermtriageError):
    """The object does not exist, or the caller may not see it."""

    code = "not_found"


class Conflict(DermtriageError):
    """The object is in another state than the caller expected."""

    code = "conflict"


class IdempotencyMismatch(DermtriageError):
    """The same Idempotency-Key was used before with other content."""

    code = "idempotency_key_reused"
    remedy = "Use a new Idempotency-Key for a new referral; repeat a referral unchanged."


class Unavailable(DermtriageError):
    """A database, store or device cannot be reached now; a retry may succeed."""

    code = "unavailable"
    remedy = "Try again in a few seconds."


class StoreMismatch(Unavailable):
    """The image store is not the one that belongs to the database, or its disk is not mounted."""

    code = "store_mismatch"
    remedy = (
        "The operator must mount the right store; `dermtriage doctor` shows what is wrong, and"
        " `dermtriage store adopt` takes over a restored store."
    )


class ObjectInaccessible(Unavailable):
    """One object cannot be read or written, although the image store itself can."""

    code = "object_inaccessible"
    remedy = "The operator must check this object's permissions and its disk."


class ConfigurationError(DermtriageError):
    """A setting is missing or invalid."""

    code = "configuration"


class ReleaseInvalid(DermtriageError):
    """A release folder does not match its manifest; nothing was loaded from it."""

    code = "release_invalid"


class ReleaseRefused(DermtriageError):
    """A release was not measured as good enough to triage."""

    code = "release_refused"
