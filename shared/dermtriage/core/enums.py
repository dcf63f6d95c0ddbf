"""Enumerations of the domain: states, severities, lanes, priorities, and allowed transitions."""

from enum import IntEnum, StrEnum

CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
"""The HAM10000 diagnoses in the order of every list of probabilities."""

SEVERE_CLASSES = ("akiec", "bcc", "mel")
"""Actinic keratosis is severe here, although the ISIC archive calls it indeterminate."""


class ImageType(StrEnum):
    """What a photograph shows; an overview locates the lesion and is not scored."""

    DERMOSCOPIC = "dermoscopic"
    CLOSE_UP = "close_up"
    OVERVIEW = "overview"


class Scoring(StrEnum):
    """The state of the scoring of one image."""

    PENDING = "pending"
    SCORED = "scored"
    FAILED = "failed"
    NOT_SCORED = "not_scored"


class Severity(StrEnum):
    """The severity that triage gives to an image or a case."""

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
    """The priority that the referrer chose (FHIR ``request-priority``)."""

    STAT = "stat"
    ASAP = "asap"
    URGENT = "urgent"
    ROUTINE = "routine"


class CaseState(StrEnum):
    """The state of a case. A clinician's claim does not change it."""

    OPEN = "open"
    AWAITING_RETAKE = "awaiting_retake"
    DECIDED = "decided"
    WITHDRAWN = "withdrawn"


class Outcome(StrEnum):
    """The outcome of a clinician's decision."""

    REFER_URGENT = "refer_urgent"
    REFER_ROUTINE = "refer_routine"
    DISCHARGE_WITH_ADVICE = "discharge_with_advice"
    RETAKE = "retake"


class RunState(StrEnum):
    """The state of a rescore run."""

    PLANNED = "planned"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    FINISHED = "finished"
    FAILED = "failed"


ACTIVE = (RunState.PLANNED, RunState.RUNNING)
"""States of a run in which workers lease its chunks."""


class Role(StrEnum):
    """The role of a clinician's account."""

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
"""From each state the states that may follow. A recall opens a decided case again; a decision that
supersedes another may request a retake."""


def may_become(old: CaseState, new: CaseState) -> bool:
    """Whether a case may change from state `old` to state `new`."""
    return new in TRANSITIONS[old]
