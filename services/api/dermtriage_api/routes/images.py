"""Renditions, which are never public; originals are never served at all."""

from uuid import UUID

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from dermtriage import audit
from dermtriage.errors import NotFound
from dermtriage.imaging import RENDITION_MEDIA_TYPE
from dermtriage.models import Image
from dermtriage.renditions import rendition_of
from dermtriage_api.auth import Principal, PrincipalDep
from dermtriage_api.openapi import Responses, errors
from dermtriage_api.services import ServicesDep

router = APIRouter(prefix="/v1/images", tags=["cases"])


_PICTURE: Responses = {
    200: {
        "description": "The picture, upright and without metadata.",
        "content": {RENDITION_MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get(
    "/{image_id}/rendition",
    summary="See a photograph",
    response_class=Response,
    responses=_PICTURE | errors(401, 404, 422, 503),
)
def show_rendition(image_id: UUID, principal: PrincipalDep, services: ServicesDep) -> Response:
    """See a photograph of your own case as a clinic, or any as a clinician.

    What no worker has prepared yet is prepared now, so that unscored cases can be read too.
    """
    with services.transaction() as session:
        image = _visible(session, image_id, principal)
        audit.record(
            session,
            actor_kind=principal.kind,
            actor_id=principal.id,
            action="rendition.viewed",
            case_id=image.case_id,
            image_id=image.id,
        )
    # Read after the transaction: a slow store must not hold a connection.
    picture = rendition_of(services.store, image_id)
    return Response(picture, media_type=RENDITION_MEDIA_TYPE)


def _visible(session: Session, image_id: UUID, principal: Principal) -> Image:
    image = session.get(Image, image_id)
    if image is None or (principal.is_clinic and image.case.clinic_id != principal.id):
        raise NotFound("There is no such image.", remedy="Check its id.", code="image_not_found")
    return image
