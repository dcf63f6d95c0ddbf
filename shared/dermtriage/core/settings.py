"""The settings, read from environment variables that begin with ``DERMTRIAGE_``."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from dermtriage.core.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[3]
"""The root of the checkout, which holds the shipped releases and the migrations."""

Seconds = Annotated[float, Field(gt=0)]


def _known_timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError) as error:  # OSError: a continent's name alone is a folder
        raise ValueError(f"there is no time zone {name!r}") from error
    return name


TimeZone = Annotated[str, AfterValidator(_known_timezone)]
"""The IANA name of a time zone, such as ``Europe/Berlin``."""

MIN_SECRET = 32
"""Characters."""


def _long_enough(secret: SecretStr) -> SecretStr:
    if 0 < len(secret) < MIN_SECRET:
        raise ValueError(f"shorter than {MIN_SECRET} characters")
    return secret


LogLevel = Annotated[
    Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(str.lower)
]


class Settings(BaseSettings):
    """The settings of one process. Durations are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix="DERMTRIAGE_", extra="ignore")

    database_url: str = Field(
        default="", description="URL of PostgreSQL, postgresql+psycopg://user:password@host/name"
    )
    redis_url: SecretStr = Field(
        default=SecretStr(""), description="URL of Redis, redis://:password@host:6379/0"
    )
    store_url: str = Field(
        default="", description="URL of the image store: file:///path or s3://bucket/prefix"
    )
    secret_key: Annotated[SecretStr, AfterValidator(_long_enough)] = Field(
        default=SecretStr(""),
        description="Secret for the hashes of API keys and sessions, 32 characters or more",
    )
    releases_dir: Path = Field(default=ROOT / "releases", description="Folder of the releases")
    default_release: str = Field(
        default="2026.12", description="The release that is active in a new database"
    )
    minimum_sensitivity: float = Field(
        default=0.95,
        ge=0,
        le=1,
        description="A release is not activated if the lower bound of its sensitivity is less",
    )

    log_level: LogLevel = "info"
    database_pool_size: int = Field(default=8, ge=1, description="Database connections per process")
    connect_timeout: Seconds = 5
    redis_timeout: Seconds = 5

    max_request_bytes: int = Field(default=64 * 2**20, gt=0)
    max_image_bytes: int = Field(default=25 * 2**20, gt=0)
    body_timeout: Seconds = Field(
        default=600, description="Time limit for receiving the body of a request"
    )

    session_lifetime: Seconds = Field(
        default=12 * 3600, description="Lifetime of a clinician's session"
    )
    review_claim_lifetime: Seconds = Field(
        default=15 * 60, description="Lifetime of a clinician's claim on a case"
    )

    scoring_threads: int = Field(
        default=2, ge=1, description="Threads per worker; one decodes while another scores"
    )
    scoring_batch: int = Field(default=16, ge=1, description="The most images in a device batch")
    worker_queues: Literal["uploads,bulk", "uploads", "bulk"] = Field(
        default="uploads,bulk",
        description="The queues that a worker consumes; uploads are scored before bulk work",
    )
    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:N")
    lease_seconds: Seconds = Field(
        default=60, description="Duration of a worker's lease on an image"
    )
    max_attempts: int = Field(
        default=3, ge=1, description="Attempts before an image counts as failed"
    )
    outage_delay: Seconds = Field(
        default=5, description="Delay before work is tried again after an outage of store or device"
    )
    heartbeat_seconds: Seconds = Field(default=5, description="Interval of a worker's heartbeats")
    stall_seconds: Seconds = Field(
        default=300,
        description="A worker ends itself if a batch takes longer than this, or if it has a backlog"
        " and completes nothing for this time",
    )
    recovery_seconds: Seconds = Field(
        default=30, description="Interval of the search for lost or stuck work"
    )
    ageing_seconds: Seconds = Field(
        default=60, description="Interval of the search for cases to age"
    )
    rescore_at: str = Field(
        default="01:00",
        pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9])?$",
        description="Start of the nightly rescoring, local time HH:MM; empty: never",
    )
    rescore_chunk: int = Field(
        default=512, ge=1, description="Images of a rescore run that a worker leases at a time"
    )
    rescore_recall_share: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="A run pauses if a larger share of its images than this recalled a case",
    )
    invariants_at: str = Field(
        default="03:30",
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$",
        description="Start of the nightly invariant check, local time HH:MM",
    )
    orphan_grace: float = Field(
        default=24 * 3600,
        ge=3600,
        description="The age at which an original that no row refers to is put into quarantine",
    )
    orphan_quarantine: Seconds = Field(
        default=30 * 24 * 3600, description="Time in quarantine after which an original is deleted"
    )
    timezone: TimeZone = Field(
        default="UTC", description="Time zone of working days and nightly times"
    )

    @property
    def slow_after(self) -> float:
        """Seconds without a heartbeat after which a worker no longer counts as live."""
        return 3 * self.heartbeat_seconds

    def require(self, *names: str) -> None:
        """Check that the settings of these names are not empty.

        Raises
        ------
        ConfigurationError
            If any of them is empty.
        """
        missing = []
        for name in names:
            value = getattr(self, name)
            if not (value.get_secret_value() if isinstance(value, SecretStr) else value):
                missing.append(f"DERMTRIAGE_{name.upper()}")
        if missing:
            raise ConfigurationError(
                f"Not set: {', '.join(missing)}.",
                remedy="Set them in the environment, or run `dermtriage up`, which needs none.",
            )


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Read the settings once per process.

    Raises
    ------
    ConfigurationError
        If a variable is invalid.
    """
    try:
        return Settings()
    except ValidationError as error:
        faults = "; ".join(
            f"DERMTRIAGE_{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors()
        )
        raise ConfigurationError(
            f"The settings are invalid: {faults}.", remedy="Correct these variables."
        ) from error
