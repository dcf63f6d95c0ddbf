"""What one training run is: read from TOML, kept beside its results."""

import hashlib
import tomllib
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MemberConfig(_Strict):
    """One network of the ensemble and how it is trained."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")
    architecture: str
    pretrained: bool
    input_size: int = Field(ge=32, le=512)
    epochs: int = Field(ge=1)
    batch_size: int = Field(default=32, ge=2)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    warmup_epochs: float = Field(default=0.5, ge=0)


class AugmentConfig(_Strict):
    """Ranges and shares of the distortions; see `augment.augment`."""

    zoom: tuple[float, float] = (0.6, 1.6)
    rotation_degrees: float = Field(default=30.0, ge=0)
    stretch: float = Field(default=0.08, ge=0, lt=1)
    shift: float = Field(default=0.08, ge=0, lt=1)
    channel_gain: float = Field(default=0.2, ge=0, lt=1)
    tone: float = Field(default=0.25, ge=0, lt=1)
    blur_share: float = Field(default=0.25, ge=0, le=1)
    blur_sigma: tuple[float, float] = (0.4, 1.6)
    jpeg_share: float = Field(default=0.2, ge=0, le=1)
    jpeg_quality: tuple[int, int] = (15, 70)
    vignette_share: float = Field(default=0.25, ge=0, le=1)
    vignette_radius: tuple[float, float] = (0.72, 1.2)


class TrainConfig(_Strict):
    """A whole run: the split, the distortions and the members."""

    seed: int = 20261123
    heldout_share: float = Field(default=0.20, gt=0, lt=1)
    calibration_share: float = Field(default=0.12, gt=0, lt=1)
    precision: Literal["bf16", "fp32"] = "bf16"
    threads: int = Field(default=0, ge=0, description="0 leaves torch's own choice")
    members: tuple[MemberConfig, ...] = Field(min_length=1)
    augment: AugmentConfig = AugmentConfig()

    @classmethod
    def read(cls, path: Path) -> "TrainConfig":
        """Read a configuration; unknown or ill-typed fields raise `pydantic.ValidationError`."""
        return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))

    @classmethod
    def default(cls) -> "TrainConfig":
        """Return the configuration that made the first release."""
        text = resources.files(__package__).joinpath("first.toml").read_text(encoding="utf-8")
        return cls.model_validate(tomllib.loads(text))

    def member_digest(self, member: MemberConfig) -> str:
        """Fingerprint of all that one member's weights depend on, to refuse a wrong resume."""
        parts = (
            member.model_dump_json(),
            self.augment.model_dump_json(),
            repr((self.seed, self.heldout_share, self.calibration_share, self.precision)),
        )
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()
