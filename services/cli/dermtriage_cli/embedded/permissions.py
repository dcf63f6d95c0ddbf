"""File permissions that the embedded servers need: private sockets, and running as root."""

import hashlib
import os
import pwd
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from dermtriage.core.errors import ConfigurationError

_MAX_SOCKET_PATH = 100
"""The kernel takes 103 bytes (macOS) to 107 (Linux) for the path of a socket."""


def socket_folder(data_dir: Path, kind: str, account: pwd.struct_passwd | None) -> Path:
    """Return a private folder with a short path that is always the same for one `data_dir`.

    Raises
    ------
    ConfigurationError
        If the folder belongs to another account.
    """
    digest = hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]
    name = f"dermtriage-{kind}-{os.geteuid()}-{digest}"
    folder = Path(tempfile.gettempdir()) / name
    if len(str(folder / ".s.PGSQL.5432.lock")) > _MAX_SOCKET_PATH:
        folder = Path("/tmp") / name  # noqa: S108 - its owner is checked below
    folder.mkdir(mode=0o700, exist_ok=True)
    owner = account.pw_uid if account else os.geteuid()
    status = folder.lstat()
    # Anyone may make a folder of this name in the shared temporary folder, or a link.
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in {owner, os.geteuid()}:
        raise ConfigurationError(
            f"{folder} belongs to another account.",
            remedy="Remove it, or set TMPDIR to a folder of your own.",
        )
    if account:
        os.chown(folder, account.pw_uid, account.pw_gid)
    return folder


def postgres_account(cluster: Path) -> pwd.struct_passwd | None:
    """Return the account to run the server as, None for the current one.

    A cluster that exists is served by its owner.

    PostgreSQL refuses to run as root.

    Raises
    ------
    ConfigurationError
        If this is root and no other account exists.
    """
    if os.geteuid() != 0:
        return None
    if cluster.exists() and (owner := cluster.stat().st_uid) != 0:
        return pwd.getpwuid(owner)
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ConfigurationError(
        "PostgreSQL refuses to run as root, and there is no account `postgres` or `nobody`.",
        remedy="Run as an ordinary user, or set DERMTRIAGE_DATABASE_URL.",
    )


def allow_traversal(path: Path) -> None:
    """Let other accounts reach `path` through its parent folders, without listing those."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def allow_running(package: Path) -> None:
    """Let other accounts run the server, which a strict umask during installation prevents."""
    allow_traversal(package)
    if package.stat().st_mode & stat.S_IROTH:
        return
    for root in (package, package.with_name(f"{package.name}.libs")):
        for path in (root, *root.rglob("*")):
            mode = stat.S_IMODE(path.stat().st_mode)
            runnable = stat.S_IXOTH if mode & stat.S_IXUSR else 0
            path.chmod(mode | stat.S_IROTH | runnable)


def remove_if_empty(folder: Path | None) -> None:
    """Remove the folder of the sockets; the socket of a killed server stays for the next start."""
    if folder:
        with suppress(OSError):
            folder.rmdir()
