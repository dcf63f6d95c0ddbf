"""The peers' own virtual environment: ``python -m bench.peers.environment`` creates it.

The project never depends on the peers, and their requirements may differ from its own. Their
environment can import the packages of the running one, such as torch; its own take precedence.
"""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

FOLDER = Path(__file__).parents[1] / ".peers"
PYTHON = FOLDER / "bin" / "python"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_INSTALLED = FOLDER / "installed.txt"


def ensure() -> Path:
    """Create the environment if it lacks the requirements; return its interpreter."""
    wanted = f"{sys.prefix}\n{REQUIREMENTS.read_text()}"
    if _INSTALLED.exists() and _INSTALLED.read_text() == wanted:
        return PYTHON
    venv.create(FOLDER, clear=True, symlinks=True, with_pip=True)
    own = sysconfig.get_path("purelib", vars={"base": str(FOLDER), "platbase": str(FOLDER)})
    # A plain line would not do: the running environment's own .pth files, which name the
    # project's sources, are read only if its folder is added as a site.
    seen = sysconfig.get_path("purelib")
    Path(own, "running.pth").write_text(f"import site; site.addsitedir({seen!r})\n")
    install = [PYTHON, "-m", "pip", "install", "--quiet", "--requirement", REQUIREMENTS]
    subprocess.run(install, check=True)
    _INSTALLED.write_text(wanted)
    return PYTHON


if __name__ == "__main__":
    print(ensure())
