"""Scores for the photographs of an API test, recorded as a worker records them."""

from typing import Any
from uuid import UUID

from tests import factories

from dermtriage.scoring import recording

GOOD_QUALITY = {"sharpness": 0.4, "brightness": 0.6, "lesion_share": 0.2, "lesion_contrast": 0.6}


def score(
    api: Any,
    image_id: UUID,
    p_severe: float,
    quality: dict[str, float] = GOOD_QUALITY,
    **members: list[float],
) -> str:
    """Record a score for an image and return the id of its case."""
    with api.sessions.begin() as session:
        lease = factories.lease_image(session, image_id)
        result = factories.result(lease, p_severe)
        scored = recording.ScoredImage(
            **{name: getattr(result, name) for name in result.__slots__}
            | {"quality": quality, "members": members or result.members}
        )
        assert factories.record(session, [scored]) == 1
        return str(lease.case_id)
