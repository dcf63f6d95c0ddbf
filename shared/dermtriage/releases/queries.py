"""Read releases and policies.

A release is active (its scores triage cases), the shadow (it scores as well, for comparison), or
idle.
"""

from collections.abc import Sequence

from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from dermtriage.core.errors import ConfigurationError, NotFound, ReleaseInvalid
from dermtriage.models import PolicyVersion, Release, ReleaseActivation
from dermtriage.triage.policy import Policy

_THRESHOLDS = ("lower", "upper", "disagreement", "out_of_scope")


def active_release(session: Session) -> Release:
    """Return the release whose scores triage cases.

    Raises
    ------
    ConfigurationError
        If none is active.
    """
    release = session.scalar(select(Release).where(Release.mode == "active"))
    if release is None:
        raise ConfigurationError(
            "No release of the ensemble is active.", remedy="Run `dermtriage db upgrade`."
        )
    return release


def active_policy(session: Session) -> tuple[int, Policy]:
    """Return the active policy, with its version before it.

    Raises
    ------
    ConfigurationError
        If no policy is active.
    """
    version = session.execute(
        select(PolicyVersion.id, PolicyVersion.body).where(PolicyVersion.active)
    ).one_or_none()
    if version is None:
        raise ConfigurationError("There is no policy.", remedy="Run `dermtriage db upgrade`.")
    return version.id, Policy.model_validate(version.body)


def policy_of_release(session: Session, release_id: int) -> tuple[int, Policy]:
    """Return the policy by which the scores of a release are triaged, with its version.

    For the active release it is the active policy. A replaced release keeps its own last policy:
    thresholds fit the scores of one release alone, and some of its scores may still be on their
    way. A release that was never active has the active policy.

    Raises
    ------
    ConfigurationError
        If there is no active policy.
    """
    earlier, current = aliased(PolicyVersion), aliased(PolicyVersion)
    replaced_by = (
        select(func.max(ReleaseActivation.policy_id))
        .join(Release, Release.id == ReleaseActivation.previous_release_id)
        .where(Release.id == release_id, Release.mode != "active")
        .scalar_subquery()
    )
    last = select(func.max(earlier.id)).where(earlier.id < replaced_by).scalar_subquery()
    active = select(current.id).where(current.active).scalar_subquery()
    # One statement, so that an activation at the same moment is seen whole or not at all.
    version = session.scalar(
        select(PolicyVersion).where(PolicyVersion.id == func.coalesce(last, active))
    )
    if version is None:
        return active_policy(session)
    return version.id, Policy.model_validate(version.body)


def proposed_policy(release: Release, base: Policy) -> Policy:
    """Return `base` with the thresholds that a release proposes in its manifest.

    Raises
    ------
    ReleaseInvalid
        If the manifest has no valid thresholds.
    """
    try:
        thresholds = {name: release.manifest["thresholds"][name] for name in _THRESHOLDS}
        return Policy.model_validate(base.model_dump() | thresholds)
    except (KeyError, ValidationError) as error:
        raise ReleaseInvalid(
            f"The manifest of release {release.name} proposes no thresholds that can be used.",
            remedy="Build the release again, under a new name.",
        ) from error


def list_releases(session: Session) -> Sequence[Release]:
    """Return all registered releases, in the order of their registration."""
    return session.scalars(select(Release).order_by(Release.id)).all()


def last_activations(session: Session) -> dict[int, ReleaseActivation]:
    """Return by the id of a release its last activation, if it ever was active."""
    rows = session.scalars(select(ReleaseActivation).order_by(ReleaseActivation.id))
    return {row.release_id: row for row in rows}


def find_release(session: Session, name: str) -> Release:
    """Return the release of this name.

    Raises
    ------
    NotFound
        If none is registered under it.
    """
    release = session.scalar(
        select(Release).where(Release.name == name).execution_options(populate_existing=True)
    )
    if release is None:
        raise NotFound(
            f"The database knows no release {name}.",
            remedy="See `dermtriage release list`.",
            code="release_not_found",
        )
    return release


def current_shadow(session: Session) -> Release | None:
    """Return the shadow, if there is one."""
    return session.scalar(select(Release).where(Release.mode == "shadow"))
