"""Renditions and heat maps. Originals are never served."""

from uuid import UUID

from fastapi import APIRouter, Response

from dermtriage.accounts import audit
from dermtriage.clinics.own_cases import own_image
from dermtriage.imaging.rendition import RENDITION_MEDIA_TYPE
from dermtriage.review.images import newest_heat_map, read_image
from dermtriage.scoring.assessments import triaging_releases
from dermtriage.storage.renditions import rendition_of
from dermtriage_api.api_docs.responses import Responses, errors
from dermtriage_api.auth import ClinicianDep, PrincipalDep
from dermtriage_api.services import ServicesDep
from dermtriage_api.threads import uses_threads

router = APIRouter(prefix="/v1/images", tags=["cases"])

_JPEG: Responses = {
    200: {
        "description": "The picture, upright and without metadata.",
        "content": {RENDITION_MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get(
    "/{image_id}/rendition",
    summary="View a photograph",
    response_class=Response,
    responses=_JPEG | errors(401, 404, 422, 503),
)
@uses_threads("pictures")
def show_rendition(image_id: UUID, principal: PrincipalDep, services: ServicesDep) -> Response:
    """View a photograph: a clinic those of its own cases, a clinician any.

    If no worker has made its rendition yet, it is made now, so unscored cases can be read too.
    """
    with services.transaction() as session:
        if principal.is_clinic:
            image = own_image(session, clinic_id=principal.id, image_id=image_id)
        else:
            image = read_image(session, image_id=image_id)
        audit.record(
            session,
            actor_kind=principal.kind,
            actor_id=principal.id,
            action="rendition.viewed",
            case_id=image.case_id,
            image_id=image.id,
        )
    # After the transaction: a slow store must not hold a database connection.
    content = rendition_of(services.store, image_id, lambda: image.sha256)
    return Response(content, media_type=RENDITION_MEDIA_TYPE)


@router.get(
    "/{image_id}/heatmap",
    summary="View a heat map",
    response_class=Response,
    responses=_JPEG | errors(401, 403, 404, 422, 503),
)
@uses_threads("pictures")
def show_heat_map(image_id: UUID, clinician: ClinicianDep, services: ServicesDep) -> Response:
    """View a severe photograph overlaid with the regions that raised its score.

    Only severe photographs have a heat map. It is drawn when no photograph waits for its score.
    The header `Dermtriage-Release` names the release that it explains. It shows what the networks
    responded to; it does not outline the lesion.
    """
    with services.transaction() as session:
        image = read_image(session, image_id=image_id)
        releases = triaging_releases(session, image.id)
        audit.record(
            session,
            actor_kind="clinician",
            actor_id=clinician.id,
            action="heatmap.viewed",
            case_id=image.case_id,
            image_id=image.id,
        )
    # After the transaction: a slow store must not hold a database connection.
    release, content = newest_heat_map(services.store, image_id, releases)
    return Response(
        content, media_type=RENDITION_MEDIA_TYPE, headers={"Dermtriage-Release": release}
    )
