"""The words of the domain: states, severities, lanes, and what may follow what. No I/O."""

from enum import IntEnum, StrEnum

CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
"""The HAM10000 diagnoses in the order in which every figure lists them."""

SEVERE_CLASSES = ("akiec", "bcc", "mel")
"""Actinic keratosis counts as severe here, although ISIC files it under indeterminate."""


class ImageType(StrEnum):
    """What a photograph shows; an overview locates the lesion and is not scored."""

    DERMOSCOPIC = "dermoscopic"
    CLOSE_UP = "close_up"
    OVERVIEW = "overview"


class Scoring(StrEnum):
    """How far the scoring of one image has come."""

    PENDING = "pending"
    SCORED = "scored"
    FAILED = "failed"
    NOT_SCORED = "not_scored"


class Severity(StrEnum):
    """What triage thinks of an image or a case."""

    SEVERE = "severe"
    UNSCORED = "unscored"
    INDETERMINATE = "indeterminate"
    LOW = "low"


class Lane(IntEnum):
    """A lane of the worklist; the smaller number is read first."""

    SEVERE = 0
    UNSCORED = 1
    INDETERMINATE = 2
    LOW = 3


class Priority(StrEnum):
    """What the referrer asked for (FHIR ``request-priority``)."""

    STAT = "stat"
    ASAP = "asap"
    URGENT = "urgent"
    ROUTINE = "routine"


class CaseState(StrEnum):
    """Where a case stands. A claim is no state: it only lends the case to a clinician."""

    OPEN = "open"
    AWAITING_RETAKE = "awaiting_retake"
    DECIDED = "decided"
    WITHDRAWN = "withdrawn"


class Outcome(StrEnum):
    """What a clinician decided."""

    REFER_URGENT = "refer_urgent"
    REFER_ROUTINE = "refer_routine"
    DISCHARGE_WITH_ADVICE = "discharge_with_advice"
    RETAKE = "retake"


class RunState(StrEnum):
    """Where a rescore run stands."""

    PLANNED = "planned"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    FINISHED = "finished"
    FAILED = "failed"


ACTIVE = (RunState.PLANNED, RunState.RUNNING)
"""States of a run in which workers take its chunks."""


class Role(StrEnum):
    """What a clinician may do beyond reading and deciding."""

    CLINICIAN = "clinician"
    LEAD = "lead"
    ADMIN = "admin"


SEVERITY_LANE = {
    Severity.SEVERE: Lane.SEVERE,
    Severity.UNSCORED: Lane.UNSCORED,
    Severity.INDETERMINATE: Lane.INDETERMINATE,
    Severity.LOW: Lane.LOW,
}

PRIORITY_LANE = {
    Priority.STAT: Lane.SEVERE,
    Priority.ASAP: Lane.SEVERE,
    Priority.URGENT: Lane.INDETERMINATE,
    Priority.ROUTINE: Lane.LOW,
}

TRANSITIONS = {
    CaseState.OPEN: {CaseState.DECIDED, CaseState.AWAITING_RETAKE, CaseState.WITHDRAWN},
    CaseState.AWAITING_RETAKE: {CaseState.OPEN, CaseState.DECIDED, CaseState.WITHDRAWN},
    CaseState.DECIDED: {CaseState.OPEN, CaseState.AWAITING_RETAKE},
    CaseState.WITHDRAWN: set[CaseState](),
}
"""A decided case opens again on a recall; a superseding decision may ask for a retake."""


def may_become(old: CaseState, new: CaseState) -> bool:
    """Whether a case in state `old` may be put into state `new`."""
    return new in TRANSITIONS[old]
