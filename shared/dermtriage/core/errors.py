"""What can go wrong, in one tree.

Every exception says what happened and what to do about it: its text is what a person reads.
``code`` is stable, so that programs may act on it; the API maps the class to a status.
"""


class DermtriageError(Exception):
    """Base of every error that dermtriage raises on purpose.

    Parameters
    ----------
    detail
        What happened, in a sentence that a person understands.
    remedy
        What to do about it.
    code
        A stable word for programs; the class's own by default.
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
    """The bytes are not a photograph that can be accepted."""

    code = "image_rejected"
    field: str | None = None
    """Which of the request's files, where the request is known."""


class RequestRejected(DermtriageError):
    """A referral that contradicts itself or names what does not exist."""

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
    """Nobody that is known asked."""

    code = "not_authenticated"


class NotAllowed(DermtriageError):
    """Somebody known asked for what their role may not do."""

    code = "not_allowed"


class NotFound(DermtriageError):
    """There is no such thing, or none that the asker may know of."""

    code = "not_found"


class Conflict(DermtriageError):
    """The thing is in another state than the asker believed."""

    code = "conflict"


class IdempotencyMismatch(DermtriageError):
    """The same Idempotency-Key came with other content."""

    code = "idempotency_key_reused"
    remedy = "Use a new Idempotency-Key for a new referral; repeat a referral unchanged."


class Unavailable(DermtriageError):
    """A database, store or device is out of reach for now; the same again later may succeed."""

    code = "unavailable"
    remedy = "Try again in a few seconds."


class ConfigurationError(DermtriageError):
    """A setting is missing or cannot be right."""

    code = "configuration"


class ReleaseInvalid(DermtriageError):
    """A release folder is not what its manifest says; nothing of it was loaded."""

    code = "release_invalid"


class ReleaseRefused(DermtriageError):
    """A release is not known to be good enough to triage."""

    code = "release_refused"
