"""Load releases: verified against the database, and warmed up before their first photograph."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image
from torch import Tensor

from dermtriage.core.errors import ReleaseInvalid
from dermtriage.core.settings import Settings
from dermtriage.models import Release
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.ensemble.manifest_file import manifest_sha256
from dermtriage_worker.scoring.core_sharing import sharing_cores

logger = logging.getLogger(__name__)

LoadEnsemble = Callable[[Path, str], Ensemble]
"""Loads the release in a folder on a device; see `Ensemble.load`."""


def black_square(ensemble: Ensemble) -> Tensor:
    """Return a square that the release can score, to test or warm up a device."""
    return ensemble.prepare(Image.new("RGB", (64, 64)))


class LoadedRelease:
    """Holds one loaded release; a request for another release replaces it.

    Parameters
    ----------
    load
        Loads a release.
    """

    def __init__(self, settings: Settings, load: LoadEnsemble) -> None:
        self._settings = settings
        self._load = load
        self._lock = threading.Lock()
        self._loaded: tuple[str, Ensemble] | None = None

    def ensemble_of(self, release: Release) -> Ensemble:
        """Return the ensemble of a release; while one thread loads it, the others wait.

        Raises
        ------
        ReleaseInvalid
            If its folder is not the release that the database knows.
        """
        with self._lock:
            if self._loaded is None or self._loaded[0] != release.name:
                folder = self._settings.releases_dir / release.name
                if manifest_sha256(folder) != release.manifest_sha256.hex():
                    raise ReleaseInvalid(
                        f"The folder of release {release.name} is not the one that was installed.",
                        remedy="Restore the release's folder, or install it under a new name.",
                    )
                # In a thread of its own: weights freed later fragment the memory of the thread that
                # loaded them, and a scoring thread was 10 to 35 % slower after some releases.
                with ThreadPoolExecutor(1, "release-loader") as loader:
                    ensemble = loader.submit(self._load_warm, folder).result()
                self._loaded = (release.name, ensemble)
                logger.info("release loaded", extra={"release": release.name})
            return self._loaded[1]

    def _load_warm(self, folder: Path) -> Ensemble:
        """Load an ensemble and score a black square, on a CPU with each share of the cores."""
        ensemble = self._load(folder, self._settings.device)
        if ensemble.device.type == "cpu":
            for threads in range(1, self._settings.scoring_threads + 1):
                with sharing_cores(threads):
                    ensemble.predict([black_square(ensemble)])
        return ensemble
