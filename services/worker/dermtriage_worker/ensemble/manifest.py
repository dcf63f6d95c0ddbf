"""The content of a release's manifest; importing it does not import torch."""

from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from dermtriage.core.enums import CLASSES, SEVERE_CLASSES
from dermtriage.triage.policy import Policy

Probability = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Channels = tuple[float, float, float]
PerClass = Annotated[tuple[float, ...], Field(min_length=len(CLASSES), max_length=len(CLASSES))]


def _plain_file_name(value: str) -> str:
    # On some systems a backslash or a drive letter would lead out of the folder.
    if PurePath(value).name != value or any(mark in value for mark in "/\\:") or value[0] == ".":
        raise ValueError("a file name may not contain a folder nor begin with a dot")
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Preprocessing(_Strict):
    """How a photograph is prepared; the same for all members."""

    kind: Literal["centre_square"] = "centre_square"
    size: int = Field(ge=32, le=1024, description="Side of the square in pixels")


class FileRef(_Strict):
    """A file of the release, and the SHA-256 of its bytes in hexadecimal."""

    file: Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_plain_file_name)]
    sha256: Sha256


class Member(FileRef):
    """One network of the ensemble.

    Its calibrated probabilities are softmax(logits / temperature + bias), of logits averaged
    over its views.
    """

    name: Name
    kind: Name = Field(description="Members of one kind differ only in their training lesions")
    fold: int | None = Field(
        ge=0, description="The fold of lesions that it was not trained on; None: trained on all"
    )
    architecture: str
    input_size: int = Field(ge=32, le=1024, description="Side of the input in pixels")
    mean: Channels
    std: Channels
    views: int = Field(
        ge=1, le=8, description="Number of dihedral views; 4 are those without transposing"
    )
    weight: Probability
    temperature: float = Field(gt=0)
    bias: PerClass


class Calibration(_Strict):
    """How the members' log-probabilities, averaged by weight, become probabilities."""

    temperature: float = Field(gt=0)
    patient: tuple[PerClass, ...] = Field(
        default=(),
        description="What each column of the metadata adds to each class; empty if none is used",
    )


class Thresholds(_Strict):
    """Thresholds that the release proposes for a policy."""

    lower: Probability = Field(description="p_severe below this is low")
    upper: Probability = Field(description="p_severe from this on is severe")
    disagreement: Probability = Field(description="More than this raises low to indeterminate")
    out_of_scope: Probability | None = Field(
        default=None, description="More than this raises low to indeterminate; None: not scored"
    )

    @model_validator(mode="after")
    def _ordered(self) -> "Thresholds":
        if self.lower > self.upper:
            raise ValueError("the lower threshold is above the upper one")
        return self

    def policy(self, timezone: str = "UTC") -> Policy:
        """Return the proposed policy; its due times count in `timezone`."""
        return Policy(
            lower=self.lower,
            upper=self.upper,
            disagreement=self.disagreement,
            out_of_scope=self.out_of_scope,
            timezone=timezone,
        )


class Figure(_Strict):
    """A measured figure with its 95 % interval."""

    value: float
    low: float
    high: float


class Training(_Strict):
    """What the release was trained on, and how; enough to train it again."""

    dataset: str
    data_sha256: Sha256 = Field(description="Over ids, lesions, classes and bytes of all images")
    seed: int
    folds: int = Field(ge=0, description="By lesion; a member is not trained on its own fold")
    photographs: int = Field(ge=0)
    lesions: int = Field(ge=0)
    severe: int = Field(ge=0, description="Photographs of severe lesions")
    classes: dict[str, int] = Field(description="Photographs of each class")
    epochs: dict[str, int] = Field(description="Training epochs of each kind of member")
    commit: str = Field(description="Git commit of the training code; empty if unknown")
    image_folds: FileRef | None = Field(
        default=None, description="Digest and fold of each training photograph"
    )


class Manifest(_Strict):
    """One version of the ensemble: members, calibration, thresholds, figures."""

    format: Literal[1] = 1
    name: Name
    created: AwareDatetime
    classes: tuple[str, ...]
    severe_classes: tuple[str, ...]
    preprocessing: Preprocessing
    members: tuple[Member, ...] = Field(min_length=1)
    calibration: Calibration
    ood: FileRef | None = Field(default=None, description="The out-of-distribution detector")
    thresholds: Thresholds
    gmac: float = Field(
        gt=0, le=3, description="1e9 multiply-accumulates per photograph, all views"
    )
    figures: dict[str, Figure] = Field(description="Out of fold, with 95 % intervals")
    training: Training
    licence: str

    @model_validator(mode="after")
    def _consistent(self) -> "Manifest":
        if self.classes != CLASSES or self.severe_classes != SEVERE_CLASSES:
            raise ValueError("the classes are not those of this version of dermtriage")
        names = [member.name for member in self.members]
        if len(set(names)) < len(names):
            raise ValueError("two members have the same name")
        files = [ref.file for ref in self.files()]
        if len(set(files)) < len(files):
            raise ValueError("a file is named twice")
        if abs(sum(member.weight for member in self.members) - 1) > 1e-6:
            raise ValueError("the members' weights do not sum to one")
        return self

    def files(self) -> list[FileRef]:
        """Return all files of the release except the manifest itself."""
        others = (self.ood, self.training.image_folds)
        return [*self.members, *(ref for ref in others if ref is not None)]
