"""The browser of the browser tests.

``python -m tests.browser.chromium`` installs one if none starts. It tries the path in
``CHROMIUM``, then Chromium or Chrome on the ``PATH``, then what Playwright has installed. If none
starts, Playwright downloads one; if that fails, root may install one with apt-get. Where nothing
works the browser tests are skipped; with ``DERMTRIAGE_REQUIRE_BROWSER=1`` they fail instead, and
so does this command.
"""

import os
import shlex
import shutil
import subprocess
import sys

from playwright.sync_api import Browser, BrowserType, Error, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PYTHON = shlex.quote(sys.executable)
DOWNLOAD = f"{PYTHON} -m playwright install --only-shell chromium"
APT_GET = "apt-get install --quiet --quiet --yes chromium"
WAYS = [
    ("Playwright downloads Chromium", [DOWNLOAD]),
    ("apt-get installs Chromium", ["apt-get update --quiet --quiet", APT_GET]),
    # Ubuntu's package chromium needs snap. Playwright's lacks only libraries there.
    (
        "apt-get installs the libraries of Playwright's Chromium",
        [f"{PYTHON} -m playwright install-deps chromium"],
    ),
]
"""Ways to a browser, the first for every user, the others for root."""

TIMEOUT = 600
"""Seconds that one installer may take."""

REQUIRED = os.environ.get("DERMTRIAGE_REQUIRE_BROWSER") == "1"
"""Read at import: the tests remove the project's variables from their environment."""


class NoBrowserError(Exception):
    """No browser starts; the message has the reason and the command that mends it."""


def candidates() -> list[str | None]:
    """Return the paths of browsers in the order to try; None is the one Playwright installed."""
    if path := os.environ.get("CHROMIUM"):
        return [path]
    return [*filter(None, map(shutil.which, NAMES)), None]


def launch(chromium: BrowserType) -> Browser:
    """Start the first browser that starts.

    Raises
    ------
    NoBrowserError
        None was found, or none starts.
    """
    args = ["--disable-background-networking", *(["--no-sandbox"] if _is_root() else [])]
    reasons = []
    for path in candidates():
        try:
            return chromium.launch(executable_path=path, args=args)
        except Error as error:
            if path or "Executable doesn't exist" not in error.message:
                reasons.append(f"{path or 'the Chromium of Playwright'} does not start")
    command = f"sudo {APT_GET}" if shutil.which("apt-get") else DOWNLOAD
    raise NoBrowserError(
        f"{', '.join(reasons) or 'no Chromium or Chrome was found'}; install one with: {command}"
    )


def problem() -> str | None:
    """Return why no browser starts; None if one does."""
    with sync_playwright() as playwright:
        try:
            launch(playwright.chromium).close()
        except NoBrowserError as error:
            return str(error)
    return None


def install() -> str | None:
    """Install a browser by the first way that works; return why none starts, or None."""
    by_root = _is_root() and shutil.which("apt-get")
    reason = problem()
    for what, commands in WAYS if by_root else WAYS[:1]:
        if reason is None:
            break
        print(f"No browser starts. {what} for the browser tests", flush=True)
        for command in commands:
            _run(command)
        reason = problem()
    return reason


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _run(command: str) -> None:
    try:
        process = subprocess.run(
            shlex.split(command),
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        print(f"  {command}: stopped after {TIMEOUT} s", flush=True)
        return
    if process.returncode:
        errors = [line for line in process.stdout.splitlines() if line.startswith(("Error", "E:"))]
        print(f"  {command}: {errors[0] if errors else 'failed'}", flush=True)


def main() -> int:
    """Install a browser if none starts; return the exit status."""
    reason = problem() if "CHROMIUM" in os.environ else install()
    if reason is None:
        return 0
    outcome = "are required" if REQUIRED else "will be skipped"
    print(f"The browser tests {outcome}: {reason}", file=sys.stderr)
    return int(REQUIRED)


if __name__ == "__main__":
    sys.exit(main())
