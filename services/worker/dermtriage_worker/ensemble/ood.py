"""Whether a photograph shows a lesion at all, such as those that the ensemble learned from.

No further network: what the members' own middle stages see of the upright photograph is compared
with what they see of lesions. Two questions are asked. How far is it from all lesions (a
Mahalanobis distance under a Gaussian whose covariance is known along its main directions and
even across the rest: probabilistic principal components, Tipping and Bishop 1999)? That tells
animals, meals, documents, faces and darkness. And is it plain skin (a logistic regression), which
lies amid the lesions, since every photograph of one shows skin too?
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from dermtriage.core.errors import ReleaseInvalid
from dermtriage_worker.ensemble.manifest import Manifest
from dermtriage_worker.ensemble.packing import read_verified

NEUTRAL = 0.5
"""Out of scope by so much is what lies as far out as the farthest few of the lesions."""

_LARGEST = 8.0
"""Deviations at which a feature is cut off before plain skin is judged."""


@dataclass(frozen=True)
class Judge:
    """What one member knows of lesions; fitted by `training.scope` without those of its fold.

    Attributes
    ----------
    centre, spread
        Mean and deviation of every feature over lesions, shape (d,).
    basis
        Main directions of the scaled features, shape (d, k).
    variances
        Along them, shape (k,).
    rest
        Variance along every other direction, shape ().
    plain
        Weights of the regression that tells plain skin, shape (d,).
    offsets, scales
        Of distance and regression, shape (2,): made comparable, and 0 at the farthest lesions.
    """

    centre: Tensor
    spread: Tensor
    basis: Tensor
    variances: Tensor
    rest: Tensor
    plain: Tensor
    offsets: Tensor
    scales: Tensor

    def evidence(self, features: Tensor) -> Tensor:
        """Return how far out of scope photographs are, shape (n,); positive is out."""
        return ((self.parts(features) - self.offsets) / self.scales).amax(1)

    def parts(self, features: Tensor) -> Tensor:
        """Return log distance from lesions and log odds of plain skin, shape (n, 2)."""
        scaled = (features - self.centre) / self.spread
        along = scaled @ self.basis
        across = (scaled.square().sum(1) - along.square().sum(1)).clamp_min(0)
        distance = (along.square() / self.variances).sum(1) + across / self.rest
        plain = scaled.clamp(-_LARGEST, _LARGEST) @ self.plain
        return torch.stack([distance.clamp_min(1e-6).log() / 2, plain], dim=1)


class Scope:
    """The judges of a release, one a member that can be tapped."""

    def __init__(self, judges: Mapping[str, Judge]) -> None:
        self._judges = dict(judges)

    @classmethod
    def load(cls, tensors: Mapping[str, Tensor]) -> "Scope":
        """Build it from the tensors of a release's file, which are named `member/part`.

        Raises
        ------
        KeyError
            If a part is missing.
        """
        members = sorted({name.partition("/")[0] for name in tensors})
        return cls(
            {
                member: Judge(**{part: tensors[f"{member}/{part}"].float() for part in _PARTS})
                for member in members
            }
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return what `load` takes; matrices in half precision."""
        return {
            f"{member}/{part}": value.half() if value.ndim > 1 else value
            for member, judge in self._judges.items()
            for part, value in ((part, getattr(judge, part).contiguous()) for part in _PARTS)
        }

    def out_of_scope(
        self, taps: Mapping[str, Tensor], figures: Sequence[Mapping[str, float]]
    ) -> list[float] | None:
        """Judge photographs by the members that are asked.

        Parameters
        ----------
        taps
            What `Network` tapped of each member by its name, shape (n, f).
        figures
            Of `measure_quality`, a photograph each.

        Returns
        -------
        list or None
            0..1 a photograph, more is farther out; None if no member that is asked can judge.
        """
        asked = [(self._judges[name], tap) for name, tap in taps.items() if name in self._judges]
        if not asked:
            return None
        evidence = [judge.evidence(join(tap, figures)) for judge, tap in asked]
        judged: list[float] = torch.stack(evidence).mean(0).sigmoid().tolist()
        return judged


def join(tap: Tensor, figures: Sequence[Mapping[str, float]]) -> Tensor:
    """Append to what was tapped how much stands out from the skin, shape (n, f + 2).

    What a member makes of contrast has been through normalisations that hide how little there is.
    """
    contrasts = torch.tensor([[one["lesion_contrast"], one["contrast"]] for one in figures])
    return torch.cat([tap.float().cpu(), (contrasts + _LEAST_CONTRAST).log()], dim=1)


_LEAST_CONTRAST = torch.tensor([0.02, 0.005])
"""About that of a sensor's noise, below which nothing differs."""

_PARTS = [field.name for field in fields(Judge)]


def load_scope(folder: Path, manifest: Manifest) -> Scope | None:
    """Verify and load what judges the scope; None where the release does not judge it.

    Raises
    ------
    ReleaseInvalid
        If the file is missing, altered, or no judge of scope.
    """
    if manifest.scope is None:
        return None
    content = read_verified(folder, manifest.scope, manifest.name)
    try:
        return Scope.load(load_safetensors(content))
    except (SafetensorError, KeyError) as error:
        raise ReleaseInvalid(
            f"File {manifest.scope.file} of release {manifest.name} is no judge of scope.",
            remedy="Install the version of dermtriage that the release was made for.",
        ) from error
