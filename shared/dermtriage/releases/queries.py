"""Which release scores and which policy triages, as the database has it.

A release is idle, the active one, or the shadow, which is scored with beside it for comparison.
"""

from collections.abc import Sequence

from pydantic import ValidationError
from sqlalchemy import Select, bindparam, func, select
from sqlalchemy.orm import Session, aliased

from dermtriage.core.errors import ConfigurationError, NotFound, ReleaseInvalid
from dermtriage.models import PolicyVersion, Release, ReleaseActivation
from dermtriage.triage.policy import Policy

_THRESHOLDS = ("lower", "upper", "disagreement", "out_of_scope")


_ACTIVE_RELEASE = select(Release).where(Release.mode == "active")


def active_release(session: Session) -> Release:
    """Return the release whose scores triage.

    Raises
    ------
    ConfigurationError
        If none is active.
    """
    release = session.scalar(_ACTIVE_RELEASE)
    if release is None:
        raise ConfigurationError(
            "No release of the ensemble is active.", remedy="Run `dermtriage db upgrade`."
        )
    return release


_ACTIVE_POLICY = select(PolicyVersion.id, PolicyVersion.body).where(PolicyVersion.active)


def active_policy(session: Session) -> tuple[int, Policy]:
    """Return the version of the policy that triages, and the policy.

    Raises
    ------
    ConfigurationError
        If there is none.
    """
    version = session.execute(_ACTIVE_POLICY).one_or_none()
    if version is None:
        raise ConfigurationError("There is no policy.", remedy="Run `dermtriage db upgrade`.")
    return version.id, Policy.model_validate(version.body)


def _policy_of() -> Select[PolicyVersion]:
    earlier, current = aliased(PolicyVersion), aliased(PolicyVersion)
    replaced_with = (
        select(func.max(ReleaseActivation.policy_id))
        .join(Release, Release.id == ReleaseActivation.previous_release_id)
        .where(Release.id == bindparam("release"), Release.mode != "active")
        .scalar_subquery()
    )
    last = select(func.max(earlier.id)).where(earlier.id < replaced_with).scalar_subquery()
    active = select(current.id).where(current.active).scalar_subquery()
    # One statement sees one state, also while another transaction activates a release.
    return select(PolicyVersion).where(PolicyVersion.id == func.coalesce(last, active))


_POLICY_OF = _policy_of()


def policy_of_release(session: Session, release_id: int) -> tuple[int, Policy]:
    """Return the policy under which the scores of a release triage, with its version.

    For the active release it is the active policy. A release that was replaced keeps the policy
    that went with it to its end: thresholds fit the scores of one release alone, and what it
    scored may still be on its way. A release that was never active has the active policy.
    """
    version = session.scalar(_POLICY_OF, {"release": release_id})
    if version is None:
        return active_policy(session)
    return version.id, Policy.model_validate(version.body)


def proposed_policy(release: Release, base: Policy) -> Policy:
    """Return `base` with the thresholds that a release proposes in its manifest.

    Raises
    ------
    ReleaseInvalid
        If the manifest proposes none that can be used.
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
    """Return all releases that the database knows, in the order in which it came to know them."""
    return session.scalars(select(Release).order_by(Release.id)).all()


def last_activations(session: Session) -> dict[int, ReleaseActivation]:
    """Return how each release that ever triaged was last activated, by the release's id."""
    rows = session.scalars(select(ReleaseActivation).order_by(ReleaseActivation.id))
    return {row.release_id: row for row in rows}


def find_release(session: Session, name: str) -> Release:
    """Return the release of this name.

    Raises
    ------
    NotFound
        If the database knows none.
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
    """Return the release that is scored with for comparison alone, if there is one."""
    return session.scalar(select(Release).where(Release.mode == "shadow"))
