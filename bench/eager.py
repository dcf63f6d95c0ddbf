"""The ensemble as served against the same members one after another, in eager full precision.

``python -m bench.eager FOLDER RELEASE`` scores the photographs of a folder both ways and prints
what it measured as JSON.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from dermtriage.core.enums import CLASSES
from dermtriage.triage.image_severity import Finding, triage_image
from dermtriage_worker.ensemble.calibration import calibrated, disagreement, severe_probability
from dermtriage_worker.ensemble.device import Compute, choose_compute
from dermtriage_worker.ensemble.forward_pass import ForwardPass
from dermtriage_worker.ensemble.image.preprocessing import normalise
from dermtriage_worker.ensemble.image.views import dihedral_view
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.ensemble.manifest import Manifest
from dermtriage_worker.ensemble.networks.registry import create_network
from dermtriage_worker.ensemble.networks.scoring_network import load_network

BATCH = 16
ROUNDS = 5
NEAR = 1e-2
"""Distance from a threshold within which the severity may differ."""


@dataclass(frozen=True)
class Compared:
    """The speed of the ensemble as served, and how its results differ."""

    images_per_second: float
    eager_images_per_second: float
    without: dict[str, float]
    """Images per second without one of the optimisations."""
    photographs: int
    largest_difference: float
    """In the probability of any class."""
    severities_changed: int
    """Except for photographs near a threshold."""


class Eager:
    """Every member as it was trained: float32, batch norms not folded, one view at a time."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._manifest = manifest
        self._networks = [_network(folder / m.file, m.architecture) for m in manifest.members]

    @torch.inference_mode()
    def logits(self, squares: Sequence[Tensor]) -> list[Tensor]:
        """Return the logits of each member, averaged over its views."""
        batch = torch.stack(list(squares))
        logits = []
        for one, member in zip(self._networks, self._manifest.members, strict=True):
            upright = normalise(batch, member.input_size, member.mean, member.std)
            views = [one(dihedral_view(upright, index)) for index in range(member.views)]
            logits.append(torch.stack(views).mean(0))
        return logits


def _network(file: Path, architecture: str) -> nn.Module:
    made = create_network(architecture, len(CLASSES)).eval()
    made.load_state_dict({name: value.float() for name, value in load_file(file).items()})
    return made


def compare(folder: Path, release: Path) -> Compared:
    """Score all photographs of a folder both ways, and some of them repeatedly for the speed."""
    ensemble = Ensemble.load(release)
    manifest = ensemble.manifest
    eager = Eager(release, manifest)
    squares = []
    for path in sorted(folder.glob("*.jpg")):
        with Image.open(path) as image:
            squares.append(ensemble.prepare(image))
    some = squares[:BATCH]

    served = choose_compute()
    layouts: dict[str, Callable[[], object]] = {
        "served": lambda: ensemble.predict(some),
        "eager": lambda: eager.logits(some),
    }
    if served.dtype is not torch.float32:
        full = _ensemble(release, manifest, replace(served, dtype=torch.float32))
        layouts["half precision"] = lambda: full.predict(some)
    other = _ensemble(release, manifest, replace(served, pass_size=BATCH))
    layouts[f"passes of {served.pass_size}, not of {BATCH}"] = lambda: other.predict(some)
    unfused = _ensemble(release, manifest, replace(served, fused=False))
    layouts["convolutions fused with their activations"] = lambda: unfused.predict(some)
    untraced = Ensemble(
        manifest,
        ensemble.networks,
        served,
        forward_pass=ForwardPass(ensemble.networks).eval(),
    )
    layouts["tracing a pass"] = lambda: untraced.predict(some)
    rates = _rates(layouts)
    largest, changed = _differences(ensemble, eager, squares)
    return Compared(
        images_per_second=rates.pop("served"),
        eager_images_per_second=rates.pop("eager"),
        without=rates,
        photographs=len(squares),
        largest_difference=largest,
        severities_changed=changed,
    )


def _ensemble(folder: Path, manifest: Manifest, compute: Compute) -> Ensemble:
    networks = [load_network(folder, member, manifest.name, compute) for member in manifest.members]
    return Ensemble(manifest, networks, compute)


def _rates(layouts: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the images per second of each, measured alternately: the machine's speed drifts."""
    taken: dict[str, list[float]] = {name: [] for name in layouts}
    for round_ in range(ROUNDS + 1):
        for name, score in layouts.items():
            start = time.perf_counter()
            score()
            if round_:
                taken[name].append(time.perf_counter() - start)
    return {name: BATCH / median(seconds) for name, seconds in taken.items()}


def _differences(ensemble: Ensemble, eager: Eager, squares: Sequence[Tensor]) -> tuple[float, int]:
    manifest = ensemble.manifest
    policy = manifest.thresholds.policy()
    limits = (policy.lower, policy.upper, policy.disagreement)
    largest, changed = 0.0, 0
    for first in range(0, len(squares), BATCH):
        batch = squares[first : first + BATCH]
        probabilities, own = calibrated(
            [values.double() for values in eager.logits(batch)],
            manifest.members,
            manifest.calibration,
        )
        severe = severe_probability(probabilities)
        disagreements = disagreement([severe_probability(each) for each in own], manifest.members)
        for index, prediction in enumerate(ensemble.predict(batch)):
            expected = dict(zip(manifest.classes, probabilities[index].tolist(), strict=True))
            largest = max(
                largest,
                *(abs(expected[name] - prediction.probabilities[name]) for name in expected),
            )
            figures = (float(severe[index]), float(severe[index]), float(disagreements[index]))
            at_a_limit = any(
                abs(figure - limit) < NEAR for figure, limit in zip(figures, limits, strict=True)
            )
            # Out-of-distribution detection reads the served networks alone: it is the same in both.
            ours, theirs = (
                triage_image(Finding(p, d, prediction.out_of_scope), policy).severity
                for p, d in (
                    (prediction.p_severe, prediction.disagreement),
                    (figures[0], figures[2]),
                )
            )
            changed += ours is not theirs and not at_a_limit
    return largest, changed


def main() -> None:
    # One core for both ways, as in the best layout: the time that several threads of an eager pass
    # wait for each other varies by a factor of two from day to day.
    torch.set_num_threads(1)
    print(json.dumps(asdict(compare(Path(sys.argv[1]), Path(sys.argv[2])))))


if __name__ == "__main__":
    main()
