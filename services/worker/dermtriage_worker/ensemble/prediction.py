"""What a release predicts for one photograph, from its members' logits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite

from torch import Tensor

from dermtriage_worker.ensemble.calibration import calibrated, disagreement, severe_probability
from dermtriage_worker.ensemble.manifest import Manifest


@dataclass(frozen=True)
class Prediction:
    """What a release predicts for one photograph.

    Attributes
    ----------
    probabilities
        Calibrated probability of each class; they sum to one.
    p_severe
        Sum of the severe classes' probabilities, 0..1.
    members
        Raw logits of each member, averaged over its views, in the order of the classes.
    member_p_severe
        p_severe by each member's own calibrated probabilities.
    disagreement
        Largest minus smallest p_severe of the kinds of members, 0..1.
    out_of_scope
        Out-of-distribution score, 0..1; None if the release has no detector.
    quality
        Figures of `measure_quality`.
    inputs
        The metadata fields that were used.
    """

    probabilities: dict[str, float]
    p_severe: float
    members: dict[str, list[float]]
    member_p_severe: dict[str, float]
    disagreement: float
    out_of_scope: float | None
    quality: dict[str, float]
    inputs: dict[str, str | int | float]

    def invalid_figure(self) -> str | None:
        """Return the name of a figure that is not finite or not in its range; None if all are.

        Triage cannot compare such a figure with a threshold, and the database cannot store it.
        """
        for name, value, is_share in self._figures():
            if not isfinite(value) or (is_share and not 0 <= value <= 1):
                return name
        return None

    def _figures(self) -> Iterator[tuple[str, float, bool]]:
        """Yield each figure's name and value, and whether it ranges from 0 to 1."""
        yield "p_severe", self.p_severe, True
        yield "disagreement", self.disagreement, True
        if self.out_of_scope is not None:
            yield "out_of_scope", self.out_of_scope, True
        # Rounding may leave a probability just above 1.
        for name, share in self.probabilities.items():
            yield f"probabilities.{name}", share, False
        for name, logits in self.members.items():
            for logit in logits:
                yield f"members.{name}", logit, False
        for name, value in self.quality.items():
            yield f"quality.{name}", value, False


def make_predictions(
    manifest: Manifest,
    logits: Sequence[Tensor],
    patients: Tensor,
    *,
    quality: Sequence[dict[str, float]],
    out_of_scope: Sequence[float | None],
    inputs: Sequence[dict[str, str | int | float]],
) -> list[Prediction]:
    """Calibrate and combine the members' logits, photograph by photograph.

    Parameters
    ----------
    logits
        Of each member, shape (n, 7).
    patients
        Encoded metadata, shape (n, f).
    quality, out_of_scope, inputs
        Of each photograph; see `Prediction`.
    """
    probabilities, by_member = calibrated(
        [values.double() for values in logits],
        manifest.members,
        manifest.calibration,
        patients,
    )
    member_severe = [severe_probability(own) for own in by_member]
    disagreements = disagreement(member_severe, manifest.members).tolist()
    severe = severe_probability(probabilities).tolist()
    names = [member.name for member in manifest.members]
    return [
        Prediction(
            probabilities=dict(zip(manifest.classes, probabilities[index].tolist(), strict=True)),
            p_severe=severe[index],
            members={
                name: values[index].tolist() for name, values in zip(names, logits, strict=True)
            },
            member_p_severe={
                name: float(values[index])
                for name, values in zip(names, member_severe, strict=True)
            },
            disagreement=disagreements[index],
            out_of_scope=out_of_scope[index],
            quality=quality[index],
            inputs=inputs[index],
        )
        for index in range(len(quality))
    ]
