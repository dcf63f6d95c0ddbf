"""Renditions, which are never public; originals are never served at all."""

from collections.abc import Sequence
from uuid import UUID

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from dermtriage.accounts import audit
from dermtriage.core.errors import NotFound
from dermtriage.imaging.rendition import RENDITION_MEDIA_TYPE
from dermtriage.models import Image
from dermtriage.scoring import assessments
from dermtriage.storage.renditions import rendition_of
from dermtriage_api.api_docs.openapi import Responses, errors
from dermtriage_api.auth import ClinicianDep, Principal, PrincipalDep
from dermtriage_api.services import Services, ServicesDep

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


@router.get(
    "/{image_id}/heatmap",
    summary="See what raised a severe score",
    response_class=Response,
    responses=_PICTURE | errors(401, 403, 404, 422, 503),
)
def show_heat_map(image_id: UUID, clinician: ClinicianDep, services: ServicesDep) -> Response:
    """See the photograph with what raised its score laid over it, the hotter the more.

    Severe photographs alone have one, drawn once no photograph waits for its score; the header
    `Dermtriage-Release` names the release that it explains. It shows what the networks looked at
    and is no outline of the lesion.
    """
    with services.transaction() as session:
        image = _visible(session, image_id, clinician)
        releases = assessments.triaging_releases(session, image.id)
        audit.record(
            session,
            actor_kind="clinician",
            actor_id=clinician.id,
            action="heatmap.viewed",
            case_id=image.case_id,
            image_id=image.id,
        )
    return _heat_map(services, image_id, releases)


def _heat_map(services: Services, image_id: UUID, releases: Sequence[str]) -> Response:
    """Answer with the map of the newest release that has one, and say which that is.

    A run at night draws none for what was severe before: the earlier map still tells.
    """
    for release in releases:
        try:
            content = services.store.get_heat_map(image_id, release)
        except NotFound:
            continue
        headers = {"Dermtriage-Release": release}
        return Response(content, media_type=RENDITION_MEDIA_TYPE, headers=headers)
    raise NotFound(
        "There is no heat map of this photograph.",
        remedy="Severe ones get one some time after their score; the score stands without it.",
        code="heatmap_missing",
    )


def _visible(session: Session, image_id: UUID, principal: Principal) -> Image:
    image = session.get(Image, image_id)
    if image is None or (principal.is_clinic and image.case.clinic_id != principal.id):
        raise NotFound("There is no such image.", remedy="Check its id.", code="image_not_found")
    return image
