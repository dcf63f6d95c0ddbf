"""Which release scores and which policy triages, as the database has it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from dermtriage.db import utcnow
from dermtriage.errors import ConfigurationError
from dermtriage.models import PolicyVersion, Release
from dermtriage.triage import Policy


def active_release(session: Session) -> Release:
    """Return the release whose scores triage.

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
    """Return the version of the policy that triages, and the policy.

    Raises
    ------
    ConfigurationError
        If there is none.
    """
    version = session.scalar(select(PolicyVersion).where(PolicyVersion.active))
    if version is None:
        raise ConfigurationError("There is no policy.", remedy="Run `dermtriage db upgrade`.")
    return version.id, Policy.model_validate(version.body)


def install_release(
    session: Session, *, name: str, manifest: Mapping[str, Any], sha256: bytes, policy: Policy
) -> bool:
    """Give a database that has no active release this one, with the policy it proposes.

    Returns
    -------
    bool
        Whether anything was installed.
    """
    # Two processes that start at once must not install twice.
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext('dermtriage.install_release'))"))
    if session.scalar(select(Release.id).where(Release.mode == "active")) is not None:
        return False
    session.add(
        Release(
            name=name,
            manifest=dict(manifest),
            manifest_sha256=sha256,
            mode="active",
            activated_at=utcnow(),
        )
    )
    session.add(
        PolicyVersion(body=policy.model_dump(mode="json"), reason=f"proposed by release {name}")
    )
    session.flush()
    return True
