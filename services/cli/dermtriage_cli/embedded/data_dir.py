"""The data folder of an embedded stack, and how other commands find the running stack."""

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


class RunningStack(BaseModel):
    """Addresses of a running stack, written to ``stack.json`` (readable by its owner alone)."""

    model_config = ConfigDict(frozen=True)

    pid: int
    server_url: str
    database_url: str
    redis_url: str
    store_url: str


class DataDirectory:
    """A folder with ``postgres``, ``redis``, ``store``, ``logs``, ``secret``, ``stack.json``."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.absolute()
        self.logs = self.data_dir / "logs"
        self._secret = self.data_dir / "secret"
        self._running = self.data_dir / "stack.json"
        self._lock_path = self.data_dir / "lock"
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        """Lock the folder for one stack.

        Raises
        ------
        ConfigurationError
            If a stack runs in it, or the folder cannot be created.
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
        """Release the folder."""
        self._running.unlink(missing_ok=True)
        if self._lock:
            self._lock.close()

    def secret_key(self) -> SecretStr:
        """Return the secret of this folder, generated at the first use."""
        if not self._secret.exists():
            write_private(self._secret, secrets.token_urlsafe(48))
        return SecretStr(self._secret.read_text())

    def announce(self, running: RunningStack) -> None:
        """Write the addresses of the stack for other commands."""
        write_private(self._running, running.model_dump_json(indent=2))

    def running(self) -> RunningStack | None:
        """Return the addresses of the stack that runs in this folder; None if none runs."""
        try:
            with self._lock_path.open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        except OSError:
            return None
        else:
            # A running stack holds the lock: the file was left by one that was killed.
            return None
        try:
            return RunningStack.model_validate(json.loads(self._running.read_text()))
        except FileNotFoundError:
            return None


def resolve_settings(data_dir: Path) -> Settings:
    """Return the settings, completed from the stack in `data_dir` if they name no database.

    Raises
    ------
    ConfigurationError
        If no database is set and no stack runs in the folder.
    """
    settings = get_settings()
    if settings.database_url:
        return settings
    directory = DataDirectory(data_dir)
    running = directory.running()
    if running is None:
        raise ConfigurationError(
            f"No stack runs in {directory.data_dir}, and DERMTRIAGE_DATABASE_URL is not set.",
            remedy="Start one with `dermtriage up`, give its folder with --data-dir,"
            " or set the variable.",
        )
    return settings.model_copy(
        update={
            "database_url": running.database_url,
            "redis_url": SecretStr(running.redis_url),
            "store_url": running.store_url,
            "secret_key": settings.secret_key
            if settings.secret_key.get_secret_value()
            else directory.secret_key(),
        }
    )


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone can read, as a whole or not at all."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    # A reader sees the old text or the new one, never a part.
    draft.replace(path)
