"""Heat maps of severe photographs, made once nothing waits for its score."""

import logging
from collections import deque
from collections.abc import Collection
from uuid import UUID

from sqlalchemy import select

from dermtriage.core.enums import Severity
from dermtriage.core.errors import DermtriageError
from dermtriage.database.engine import outage_as_unavailable
from dermtriage.models import Image, Release
from dermtriage_worker.ensemble.image.photograph import decode_rendition
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.scoring.overlay import overlay
from dermtriage_worker.scoring.runtime import Runtime

logger = logging.getLogger(__name__)


class Explanations:
    """What one thread has scored and not yet explained.

    The scores are safe in the database, the maps to be made are kept in memory alone: a process
    that ends leaves severe photographs without one, which is said where it is asked for.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._waiting: deque[tuple[UUID, str, Ensemble]] = deque()

    def add(self, image_ids: Collection[UUID], release: Release) -> None:
        """Note those of these images that are severe under the active policy."""
        severe = select(Image.id).where(Image.id.in_(image_ids), Image.severity == Severity.SEVERE)
        try:
            with outage_as_unavailable(), self._runtime.sessions() as session:
                found = session.scalars(severe).all()
            # The ensemble is kept: by the time of the map another release may be loaded.
            ensemble = self._runtime.ensembles.get(release)
        except DermtriageError as error:
            logger.warning("heat maps left out", extra={"reason": error.code})
            return
        self._waiting.extend((image_id, release.name, ensemble) for image_id in found)

    def make_one(self) -> bool:
        """Make and store the next map; return whether there was one to be made."""
        if not self._waiting:
            return False
        # It brings a plotting library along, and many processes never need it.
        from dermtriage_worker.ensemble.attribution import heat_maps  # noqa: PLC0415

        image_id, release, ensemble = self._waiting.popleft()
        try:
            rendition = self._runtime.store.get_rendition(image_id)
            square = decode_rendition(rendition, ensemble).square
            with self._runtime.turn(ensemble):
                (heat,) = heat_maps(ensemble, square[None])
            self._runtime.store.put_heat_map(image_id, release, overlay(rendition, heat))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not stop the scoring
            logger.warning(
                "heat map failed", extra={"image_id": image_id, "reason": type(error).__name__}
            )
        return True
