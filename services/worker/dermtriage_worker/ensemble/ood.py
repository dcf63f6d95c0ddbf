"""Out-of-distribution detection: whether a photograph shows a lesion like those of training.

It needs no further network. Its features are the activations of the members' middle stages on the
upright photograph, and two figures of contrast. Two scores are computed from them:

- the Mahalanobis distance from all lesions of the training set, under a Gaussian with a low-rank
  covariance (probabilistic PCA, Tipping and Bishop 1999). It detects animals, meals, documents,
  faces and darkness.
- the logit of plain skin by a logistic regression. By distance, plain skin is not an outlier, since
  every photograph of a lesion shows skin too.
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

CLIP = 8.0
"""Standardised features are clipped to this before the regression reads them."""

_CONTRAST_NOISE = torch.tensor([0.02, 0.005])
"""Contrasts about as small as a sensor's noise; they keep the logarithm finite."""


@dataclass(frozen=True)
class LesionDistribution:
    """How one member's features are distributed over lesions.

    Fitted by `training.ood` without the lesions of the member's fold.

    Attributes
    ----------
    centre, spread
        Mean and standard deviation of every feature over lesions, shape (d,).
    basis
        Main directions of the standardised features, shape (d, k).
    variances
        Along them, shape (k,).
    rest
        Variance along every other direction, shape ().
    plain
        Weights of the regression for plain skin, shape (d,).
    offsets, scales
        Of distance and regression, shape (2,): subtracted and divided by, so that both scores are
        comparable and 0 at the most extreme lesions.
    """

    centre: Tensor
    spread: Tensor
    basis: Tensor
    variances: Tensor
    rest: Tensor
    plain: Tensor
    offsets: Tensor
    scales: Tensor

    def score(self, features: Tensor) -> Tensor:
        """Return the greater of both scaled scores, shape (n,); positive is out of distribution."""
        return ((self.raw_scores(features) - self.offsets) / self.scales).amax(1)

    def raw_scores(self, features: Tensor) -> Tensor:
        """Return log distance from lesions and logit of plain skin, shape (n, 2)."""
        scaled = (features - self.centre) / self.spread
        along = scaled @ self.basis
        across = (scaled.square().sum(1) - along.square().sum(1)).clamp_min(0)
        distance = (along.square() / self.variances).sum(1) + across / self.rest
        plain = scaled.clamp(-CLIP, CLIP) @ self.plain
        return torch.stack([distance.clamp_min(1e-6).log() / 2, plain], dim=1)


_PARTS = [field.name for field in fields(LesionDistribution)]


class OodDetector:
    """The out-of-distribution detector of a release: the mean of its members' scores.

    Parameters
    ----------
    distributions
        By member, for those whose architecture has taps; see `registry.TAPS`.
    """

    def __init__(self, distributions: Mapping[str, LesionDistribution]) -> None:
        self._distributions = dict(distributions)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "OodDetector":
        """Build it from the tensors of a release's file, which are named `member/part`.

        Raises
        ------
        KeyError
            If a part is missing.
        """
        members = sorted({name.partition("/")[0] for name in tensors})
        return cls(
            {
                member: LesionDistribution(
                    **{part: tensors[f"{member}/{part}"].float() for part in _PARTS}
                )
                for member in members
            }
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return what `from_tensors` takes; matrices in half precision."""
        return {
            f"{member}/{part}": value.half() if value.ndim > 1 else value
            for member, fitted in self._distributions.items()
            for part, value in ((part, getattr(fitted, part).contiguous()) for part in _PARTS)
        }

    def scores(
        self, features: Mapping[str, Tensor], quality: Sequence[Mapping[str, float]]
    ) -> list[float] | None:
        """Score photographs by those of the given members that have a distribution.

        Parameters
        ----------
        features
            Of each member by its name, shape (n, f); see `ScoringNetwork.logits_and_features`.
        quality
            Figures of `measure_quality` for each photograph.

        Returns
        -------
        list or None
            0..1 for each photograph, higher is farther out of distribution; 0.5 is that of the
            most extreme lesions. None if no given member has a distribution.
        """
        scores = [
            self._distributions[name].score(add_contrast(own, quality))
            for name, own in features.items()
            if name in self._distributions
        ]
        if not scores:
            return None
        probabilities: list[float] = torch.stack(scores).mean(0).sigmoid().tolist()
        return probabilities


def add_contrast(features: Tensor, quality: Sequence[Mapping[str, float]]) -> Tensor:
    """Append two logarithms of contrast to a member's features: shape (n, f + 2).

    The members' batch norms normalise away how much contrast a photograph has.
    """
    contrasts = torch.tensor([[one["lesion_contrast"], one["contrast"]] for one in quality])
    return torch.cat([features.float().cpu(), (contrasts + _CONTRAST_NOISE).log()], dim=1)


def load_ood_detector(folder: Path, manifest: Manifest) -> OodDetector | None:
    """Verify and load a release's out-of-distribution detector; None if it has none.

    Raises
    ------
    ReleaseInvalid
        If the file is missing, altered, or does not hold a detector.
    """
    if manifest.ood is None:
        return None
    content = read_verified(folder, manifest.ood, manifest.name)
    try:
        return OodDetector.from_tensors(load_safetensors(content))
    except (SafetensorError, KeyError) as error:
        raise ReleaseInvalid(
            f"File {manifest.ood.file} of release {manifest.name} does not hold an"
            " out-of-distribution detector.",
            remedy="Install the version of dermtriage that the release was made for.",
        ) from error
