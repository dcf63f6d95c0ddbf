"""Everything that may be set, from environment variables that begin with ``DERMTRIAGE_``."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from dermtriage.core.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[3]
"""The checkout: where the shipped releases and the migrations lie in a working tree."""

Seconds = Annotated[float, Field(gt=0)]


def _known_timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError) as error:  # a part of a name, such as a continent, is a folder
        raise ValueError(f"there is no time zone {name!r}") from error
    return name


TimeZone = Annotated[str, AfterValidator(_known_timezone)]
"""A zone by its IANA name, such as ``Europe/Berlin``."""

MIN_SECRET = 32


def _hard_to_guess(secret: SecretStr) -> SecretStr:
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
        default="", description="PostgreSQL, as postgresql+psycopg://user:password@host/name"
    )
    redis_url: SecretStr = Field(
        default=SecretStr(""), description="Redis, as redis://:password@host:6379/0"
    )
    store_url: str = Field(
        default="", description="Images: a folder as file:///path, or s3://bucket/prefix"
    )
    secret_key: Annotated[SecretStr, AfterValidator(_hard_to_guess)] = Field(
        default=SecretStr(""),
        description="Keys API keys and sessions; at least 32 characters",
    )
    releases_dir: Path = Field(default=ROOT / "releases", description="Where the releases lie")
    default_release: str = Field(
        default="2026.12", description="The release that a new database starts with"
    )
    minimum_sensitivity: float = Field(
        default=0.95,
        ge=0,
        le=1,
        description="A release whose sensitivity may lie below this is not activated",
    )

    log_level: LogLevel = "info"
    database_pool_size: int = Field(default=8, ge=1, description="Connections a process")
    connect_timeout: Seconds = 5
    redis_timeout: Seconds = 5

    max_request_bytes: int = Field(default=64 * 2**20, gt=0)
    max_image_bytes: int = Field(default=25 * 2**20, gt=0)
    body_timeout: Seconds = Field(
        default=600, description="The longest a request's body may take to arrive"
    )

    session_lifetime: Seconds = Field(default=12 * 3600, description="Of a clinician's login")
    review_claim_lifetime: Seconds = Field(default=15 * 60, description="Of a case on loan")

    scoring_threads: int = Field(
        default=2, ge=1, description="Threads a worker; one decodes while another scores"
    )
    scoring_batch: int = Field(default=16, ge=1, description="Images a device batch at most")
    worker_queues: Literal["uploads,bulk", "uploads", "bulk"] = Field(
        default="uploads,bulk",
        description="What a worker takes up; while it rescores in bulk it scores uploads first",
    )
    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:N")
    lease_seconds: Seconds = Field(default=60, description="A worker's lease on an image")
    max_attempts: int = Field(default=3, ge=1, description="Tries before an image has failed")
    outage_delay: Seconds = Field(
        default=5, description="How long work rests after an outage of store or device"
    )
    heartbeat_seconds: Seconds = Field(default=5, description="A worker's sign of life")
    stall_seconds: Seconds = Field(
        default=300, description="A worker with a backlog and no completion ends itself after"
    )
    recovery_seconds: Seconds = Field(default=30, description="Between two looks for stuck work")
    ageing_seconds: Seconds = Field(default=60, description="Between two looks for aged cases")
    rescore_at: str = Field(
        default="01:00",
        pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9])?$",
        description="When the night's rescoring begins, local time HH:MM; empty: never",
    )
    rescore_chunk: int = Field(
        default=512, ge=1, description="Images of a run that one worker takes at a time"
    )
    rescore_recall_share: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="A run pauses once more than this share of its images recalled a case",
    )
    invariants_at: str = Field(
        default="03:30",
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$",
        description="The nightly check, local time HH:MM",
    )
    orphan_grace: float = Field(
        default=24 * 3600,
        ge=3600,
        description="The age from which an object that no row names is swept",
    )
    timezone: TimeZone = Field(default="UTC", description="Of working days and nightly times")

    @property
    def slow_after(self) -> float:
        """Seconds without a heartbeat after which a worker does not count as live."""
        return 3 * self.heartbeat_seconds

    def require(self, *names: str) -> None:
        """Refuse to start without the settings of these names.

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
    """Read the settings once a process.

    Raises
    ------
    ConfigurationError
        If a variable cannot be right.
    """
    try:
        return Settings()
    except ValidationError as error:
        faults = "; ".join(
            f"DERMTRIAGE_{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors()
        )
        raise ConfigurationError(
            f"The settings cannot be used: {faults}.", remedy="Correct these variables."
        ) from error
