"""Heat maps of severe photographs, made once no image is pending."""

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


class HeatMapQueue:
    """The severe images that one thread has scored and that await their heat maps.

    The queue is only in memory: when a process ends, its queued images stay without a map, and the
    API says so.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._waiting: deque[tuple[UUID, str, Ensemble]] = deque()

    def add(self, image_ids: Collection[UUID], release: Release) -> None:
        """Queue those of these images that are severe under the active policy."""
        severe = select(Image.id).where(Image.id.in_(image_ids), Image.severity == Severity.SEVERE)
        try:
            with outage_as_unavailable(), self._runtime.sessions() as session:
                found = session.scalars(severe).all()
            # The ensemble is kept: by the time of the map another release may be loaded.
            ensemble = self._runtime.active.ensemble_of(release)
        except DermtriageError as error:
            logger.warning("no heat maps made", extra={"reason": error.code})
            return
        self._waiting.extend((image_id, release.name, ensemble) for image_id in found)

    def make_one(self) -> bool:
        """Make and store the next map; return False if none is queued."""
        if not self._waiting:
            return False
        # It imports a plotting library, which many processes never need.
        from dermtriage_worker.ensemble.attribution import heat_maps  # noqa: PLC0415

        image_id, release, ensemble = self._waiting.popleft()
        try:
            rendition = self._runtime.store.get_rendition(image_id)
            square = decode_rendition(rendition, ensemble).square
            with self._runtime.device(ensemble):
                (heat,) = heat_maps(ensemble, square[None])
            self._runtime.store.put_heat_map(image_id, release, overlay(rendition, heat))
        except Exception as error:  # noqa: BLE001 - a map must never stop the scoring
            logger.warning(
                "heat map failed", extra={"image_id": image_id, "reason": type(error).__name__}
            )
        return True
