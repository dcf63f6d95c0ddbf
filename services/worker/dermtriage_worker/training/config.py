"""The configuration of a training run: read from TOML, kept beside its results."""

import hashlib
import tomllib
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Phase(_Strict):
    """Some epochs of one member: a warm-up and half a cosine of the learning rate."""

    epochs: int = Field(ge=1)
    input_size: int = Field(ge=32, le=512)
    first_size: int | None = Field(
        default=None, ge=32, le=512, description="Input size for the first half of the epochs"
    )
    learning_rate: float = Field(gt=0)
    warmup_epochs: float = Field(default=0.5, ge=0)
    severe_weight: float = Field(
        default=0.0,
        ge=0,
        description="Weight of the added loss of severe against benign",
    )


class MemberConfig(_Strict):
    """One kind of network and how it is trained, once for every fold."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")
    architecture: str
    pretrained: bool
    batch_size: int = Field(default=32, ge=2)
    weight_decay: float = Field(default=0.05, ge=0)
    average_decay: float = Field(
        default=0.995,
        ge=0,
        lt=1,
        description="Decay per step of the weights' moving average",
    )
    precision: Literal["bf16", "fp32"] = "fp32"
    phases: tuple[Phase, ...] = Field(
        min_length=1, description="Each starts from the averaged weights of the one before"
    )

    @property
    def epochs(self) -> int:
        """Number of epochs of all phases."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def input_size(self) -> int:
        """Side of the input at the end of training and in scoring, in pixels."""
        return self.phases[-1].input_size


class AugmentConfig(_Strict):
    """Ranges and shares of the distortions; see `augment.Augmentation`."""

    zoom: tuple[float, float] = (0.6, 1.6)
    rotation_degrees: float = Field(default=30.0, ge=0)
    stretch: float = Field(default=0.08, ge=0, lt=1)
    shift: float = Field(default=0.08, ge=0, lt=1)
    channel_gain: float = Field(default=0.2, ge=0, lt=1)
    tone: float = Field(default=0.2, ge=0, lt=1)
    blur_share: float = Field(default=0.2, ge=0, le=1)
    blur_sigma: tuple[float, float] = (0.4, 1.6)
    sharpen_share: float = Field(default=0.1, ge=0, le=1)
    sharpen_amount: tuple[float, float] = (0.3, 1.5)
    jpeg_share: float = Field(default=0.15, ge=0, le=1)
    jpeg_quality: tuple[int, int] = (15, 70)
    vignette_share: float = Field(default=0.2, ge=0, le=1)
    vignette_radius: tuple[float, float] = (0.7, 1.2)
    hair_share: float = Field(default=0.12, ge=0, le=1)
    ink_share: float = Field(default=0.03, ge=0, le=1)


class TrainConfig(_Strict):
    """A whole run: the folds, the distortions and the members."""

    seed: int = 20261123
    folds: int = Field(default=3, ge=2, le=20)
    threads: int = Field(default=0, ge=0, description="0 leaves torch's own choice")
    members: tuple[MemberConfig, ...] = Field(min_length=1)
    augment: AugmentConfig = AugmentConfig()

    @classmethod
    def read(cls, path: Path) -> "TrainConfig":
        """Read a configuration; unknown or ill-typed fields raise `pydantic.ValidationError`."""
        return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))

    @classmethod
    def default(cls) -> "TrainConfig":
        """Return the configuration that releases are trained with."""
        text = resources.files(__package__).joinpath("default.toml").read_text(encoding="utf-8")
        return cls.model_validate(tomllib.loads(text))

    def member_digest(self, member: MemberConfig, fold: int) -> str:
        """Fingerprint of all that one member's weights depend on, to refuse a wrong resume."""
        parts = (
            member.model_dump_json(),
            self.augment.model_dump_json(),
            repr((self.seed, self.folds, fold)),
        )
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()
