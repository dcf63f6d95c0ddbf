"""Register and activate releases, and set the shadow.

Each change waits until the one before it has committed, and is one transaction.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from dermtriage.core.clock import utcnow
from dermtriage.core.errors import Conflict, ReleaseRefused
from dermtriage.core.validation import check_text
from dermtriage.models import MAX_ACTOR, MAX_REASON, PolicyVersion, Release, ReleaseActivation
from dermtriage.releases.queries import active_policy, active_release, find_release, proposed_policy
from dermtriage.triage.policy import Policy

INSTALLATION = "installation"
"""The actor of the first activation in a database."""


def add_release(
    session: Session, *, name: str, manifest: Mapping[str, Any], sha256: bytes
) -> Release:
    """Register a release, idle at first.

    A release that is registered already stays as it is.

    Parameters
    ----------
    sha256
        Of the manifest's bytes, which hold the hashes of all other files; 32 bytes.

    Raises
    ------
    Conflict
        If another release is registered under the name.
    """
    lock_activations(session)
    release = session.scalar(select(Release).where(Release.name == name))
    if release is None:
        release = Release(name=name, manifest=dict(manifest), manifest_sha256=sha256)
        session.add(release)
        session.flush()
    elif release.manifest_sha256 != sha256:
        raise Conflict(
            f"The database knows another release of the name {name}.",
            remedy="Restore the release's folder, or give the new release a name of its own.",
            code="release_differs",
        )
    return release


def install_release(
    session: Session, *, name: str, manifest: Mapping[str, Any], sha256: bytes, policy: Policy
) -> bool:
    """Activate a release, with the policy it proposes, in a database that has no active one.

    Returns
    -------
    bool
        Whether anything was installed.
    """
    # Two processes may start at the same moment: one of them installs.
    lock_activations(session)
    if session.scalar(select(Release.id).where(Release.mode == "active")) is not None:
        return False
    release = add_release(session, name=name, manifest=manifest, sha256=sha256)
    _activate(session, release, None, policy, INSTALLATION, None)
    return True


def activate_release(
    session: Session,
    *,
    name: str,
    minimum_sensitivity: float,
    actor: str,
    override_reason: str | None = None,
) -> ReleaseActivation:
    """Activate a release, with the thresholds that it proposes, from the next batch on.

    Due times, working days and holidays stay those of the active policy. The severities of cases
    stay as they are until images are scored again.

    Parameters
    ----------
    minimum_sensitivity
        0..1; the least allowed lower confidence bound of the sensitivity at the release's lower
        threshold.
    actor
        The person responsible, as text.
    override_reason
        Why the release may be activated whatever its sensitivity is.

    Raises
    ------
    NotFound
        If no release is registered under the name.
    Conflict
        If it is active.
    ReleaseRefused
        If its sensitivity may be too low, or was not measured, and no reason is given.
    ReleaseInvalid
        If it proposes no thresholds.
    RequestRejected
        If actor or reason is blank or too long.
    """
    lock_activations(session)
    check_text("actor", actor, MAX_ACTOR)
    release, previous = find_release(session, name), active_release(session)
    if release.id == previous.id:
        raise Conflict(
            f"Release {name} is the active one already.",
            remedy="Nothing needs to be done.",
            code="release_active",
        )
    if override_reason is None:
        _require_sensitivity(release, minimum_sensitivity)
    else:
        check_text("reason", override_reason, MAX_REASON)
    policy = proposed_policy(release, active_policy(session)[1])
    return _activate(session, release, previous, policy, actor, override_reason)


def set_shadow_release(session: Session, *, name: str | None) -> None:
    """Make a release the shadow, which scores beside the active one; None ends the shadow.

    There is one shadow at most: a new one replaces the old one.

    Raises
    ------
    NotFound
        If no release is registered under the name.
    Conflict
        If it is active.
    """
    lock_activations(session)
    release = find_release(session, name) if name is not None else None
    if release is not None and release.mode == "active":
        raise Conflict(
            f"Release {name} is the active one, and cannot be its own shadow.",
            remedy="Name another release.",
            code="release_active",
        )
    session.execute(update(Release).where(Release.mode == "shadow").values(mode="idle"))
    if release is not None:
        session.execute(update(Release).where(Release.id == release.id).values(mode="shadow"))


def lock_activations(session: Session) -> None:
    """Hold off every other change of releases and policies until the transaction ends."""
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext('dermtriage.releases'))"))


def activate_policy(session: Session, policy: Policy, reason: str) -> PolicyVersion:
    """Add a version of the policy and make it active; the caller holds the lock of activations."""
    # A unique index allows one active policy, so the old one is deactivated first.
    session.execute(update(PolicyVersion).where(PolicyVersion.active).values(active=False))
    version = PolicyVersion(body=policy.model_dump(mode="json"), reason=reason)
    session.add(version)
    session.flush()
    return version


def _activate(
    session: Session,
    release: Release,
    previous: Release | None,
    policy: Policy,
    actor: str,
    override_reason: str | None,
) -> ReleaseActivation:
    # A unique index allows one active release, so the old one is deactivated first.
    session.execute(update(Release).where(Release.mode == "active").values(mode="idle"))
    session.execute(
        update(Release).where(Release.id == release.id).values(mode="active", activated_at=utcnow())
    )
    version = activate_policy(session, policy, f"proposed by release {release.name}")
    activation = ReleaseActivation(
        release_id=release.id,
        previous_release_id=previous.id if previous else None,
        policy_id=version.id,
        actor=actor,
        override_reason=override_reason,
        sensitivity_low=_sensitivity_low(release),
    )
    session.add(activation)
    session.flush()
    return activation


def _require_sensitivity(release: Release, minimum: float) -> None:
    low = _sensitivity_low(release)
    if low is not None and low >= minimum:
        return
    found = "was never measured" if low is None else f"may be as low as {low:.3f}"
    raise ReleaseRefused(
        f"The sensitivity of release {release.name} {found}; at least {minimum:g} is required.",
        remedy="Choose another release, or override with a reason (--override), which is kept.",
    )


def _sensitivity_low(release: Release) -> float | None:
    figure = release.manifest.get("figures", {}).get("sensitivity_lower")
    return None if figure is None else float(figure["low"])
