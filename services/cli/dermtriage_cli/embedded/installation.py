"""The folder of an embedded stack, and how other commands find the stack that runs in it."""

import fcntl
import json
import os
import secrets
from pathlib import Path
from typing import IO, Self

from pydantic import BaseModel, ConfigDict, SecretStr

from dermtriage.core.errors import ConfigurationError
from dermtriage.core.settings import Settings, get_settings

DEFAULT_DATA_DIR = Path("data")


class Running(BaseModel):
    """Where to reach a running stack; written to ``stack.json``, which its owner alone reads."""

    model_config = ConfigDict(frozen=True)

    pid: int
    server_url: str
    database_url: str
    redis_url: str
    store_url: str


class Installation:
    """A data folder: ``postgres``, ``redis``, ``store``, ``logs``, ``secret``, ``stack.json``."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.absolute()
        self.logs = self.data_dir / "logs"
        self._secret = self.data_dir / "secret"
        self._running = self.data_dir / "stack.json"
        self._lock_path = self.data_dir / "lock"
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        """Take the folder for one stack.

        Raises
        ------
        ConfigurationError
            If a stack runs in it, or the folder cannot be made.
        """
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = self._lock_path.open("w")
        except OSError as error:
            raise ConfigurationError(
                f"The folder {self.data_dir} cannot be written: {error.strerror}.",
                remedy="Choose another with --data-dir.",
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise ConfigurationError(
                f"A stack already runs in {self.data_dir}.",
                remedy="Stop it first, or choose another --data-dir.",
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        """Give the folder back."""
        self._running.unlink(missing_ok=True)
        if self._lock:
            self._lock.close()

    def secret_key(self) -> SecretStr:
        """Return the secret of this folder, made at its first use."""
        if not self._secret.exists():
            _write_private(self._secret, secrets.token_urlsafe(48))
        return SecretStr(self._secret.read_text())

    def announce(self, running: Running) -> None:
        """Let other commands find the stack."""
        _write_private(self._running, running.model_dump_json(indent=2))

    def running(self) -> Running | None:
        """Return where the stack that runs in this folder is reached; None if none does."""
        try:
            with self._lock_path.open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        except OSError:
            return None
        else:
            # A stack holds the lock; what it left behind when it was killed says nothing.
            return None
        try:
            return Running.model_validate(json.loads(self._running.read_text()))
        except FileNotFoundError:
            return None


def settings_of(data_dir: Path) -> Settings:
    """Return the settings of the environment, or else those of the stack that runs in a folder.

    Raises
    ------
    ConfigurationError
        If neither names a database.
    """
    settings = get_settings()
    if settings.database_url:
        return settings
    installation = Installation(data_dir)
    running = installation.running()
    if running is None:
        raise ConfigurationError(
            f"No stack runs in {installation.data_dir}, and DERMTRIAGE_DATABASE_URL is not set.",
            remedy="Start one with `dermtriage up`, name its folder with --data-dir,"
            " or set the variable.",
        )
    return settings.model_copy(
        update={
            "database_url": running.database_url,
            "redis_url": SecretStr(running.redis_url),
            "store_url": running.store_url,
            "secret_key": settings.secret_key
            if settings.secret_key.get_secret_value()
            else installation.secret_key(),
        }
    )


def _write_private(path: Path, text: str) -> None:
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    # Whoever reads sees the old text or the new one, and never half of it.
    draft.replace(path)
