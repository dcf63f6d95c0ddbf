"""Releases that are rows alone, without a folder."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from dermtriage.models import Release, ReleaseActivation
from dermtriage.releases.activation import activate_release, add_release
from dermtriage.releases.queries import list_releases

THRESHOLDS = {"lower": 0.2, "upper": 0.8, "disagreement": 0.3, "out_of_scope": 0.9}


def add(session: Session, name: str, low: float | None = 0.97, **thresholds: float) -> Release:
    """Register a release whose sensitivity has this lower bound."""
    figures = {} if low is None else {"sensitivity_lower": {"value": 0.99, "low": low, "high": 1}}
    manifest = {"thresholds": THRESHOLDS | thresholds, "figures": figures}
    return add_release(session, name=name, manifest=manifest, sha256=name.encode().ljust(32))


def activate(session: Session, name: str, **changes: Any) -> ReleaseActivation:
    options: dict[str, Any] = {"minimum_sensitivity": 0.95, "actor": "m.okafor"}
    return activate_release(session, name=name, **options | changes)


def modes(session: Session) -> dict[str, str]:
    return {release.name: release.mode for release in list_releases(session)}


def history(session: Session) -> Sequence[ReleaseActivation]:
    return session.scalars(select(ReleaseActivation).order_by(ReleaseActivation.id)).all()
