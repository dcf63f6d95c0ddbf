"""The tables as SQLAlchemy models, one file per family.

No queries and no rules of triage.
"""

from dermtriage.models._columns import MAX_ACTOR, MAX_REASON
from dermtriage.models.accounts import ApiKey, Clinic, Clinician, ClinicianSession
from dermtriage.models.audit import AuditEntry
from dermtriage.models.cases import AWAITS_RETAKE, IS_OPEN, Case, Image, IntakeRequest
from dermtriage.models.rescoring import RescoreChunk, RescoreFailure, RescoreRun
from dermtriage.models.review import Decision, ReviewClaim, claim_tokens
from dermtriage.models.scoring import (
    Assessment,
    PendingHeatMap,
    PendingImage,
    PolicyVersion,
    Release,
    ReleaseActivation,
    Worker,
    lease_tokens,
)
from dermtriage.models.storage import StoreIdentity
from dermtriage.models.triage import TriageEvent

__all__ = [
    "AWAITS_RETAKE",
    "IS_OPEN",
    "MAX_ACTOR",
    "MAX_REASON",
    "ApiKey",
    "Assessment",
    "AuditEntry",
    "Case",
    "Clinic",
    "Clinician",
    "ClinicianSession",
    "Decision",
    "Image",
    "IntakeRequest",
    "PendingHeatMap",
    "PendingImage",
    "PolicyVersion",
    "Release",
    "ReleaseActivation",
    "RescoreChunk",
    "RescoreFailure",
    "RescoreRun",
    "ReviewClaim",
    "StoreIdentity",
    "TriageEvent",
    "Worker",
    "claim_tokens",
    "lease_tokens",
]
