"""What shows no lesion is flagged by the release in the tree; none of it was there at its making.

Photographs come from packages that carry some for their own examples.
"""

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont
from skimage import data as skimage_data
from sklearn.datasets import load_sample_image

from dermtriage.core.enums import Severity
from dermtriage.core.settings import Settings
from dermtriage.triage.image_severity import Finding, triage_image
from dermtriage_worker.ensemble.inference import Ensemble


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    settings = Settings()
    return Ensemble.load(settings.releases_dir / settings.default_release, "cpu")


def _document() -> Image.Image:
    page = Image.new("RGB", (600, 450), (250, 248, 240))
    for line in range(18):
        text = "The patient was seen on Monday and asked to come again."
        font = ImageFont.load_default(size=18)
        ImageDraw.Draw(page).text((20, 10 + 24 * line), text, fill=(20, 20, 30), font=font)
    return page


def _noise(centre: tuple[int, int, int], spread: float) -> Image.Image:
    generator = torch.Generator().manual_seed(4)
    values = torch.tensor(centre) + spread * torch.randn(300, 400, 3, generator=generator)
    return Image.fromarray(values.clamp(0, 255).to(torch.uint8).numpy())


PICTURES: dict[str, Callable[[], Image.Image]] = {
    "cat": lambda: Image.fromarray(skimage_data.chelsea()),
    "food": lambda: Image.fromarray(skimage_data.coffee()),
    "printed page": lambda: Image.fromarray(skimage_data.page()).convert("RGB"),
    "astronaut": lambda: Image.fromarray(skimage_data.astronaut()),
    "whole face": lambda: Image.open(
        Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    ).convert("RGB"),
    "building": lambda: Image.fromarray(load_sample_image("china.jpg")),
    "flower": lambda: Image.fromarray(load_sample_image("flower.jpg")),
    "document": _document,
    "black": lambda: _noise((4, 4, 5), 2),
    "noise": lambda: _noise((128, 128, 128), 80),
    "plain skin": lambda: _noise((214, 170, 150), 4),
    "white": lambda: Image.new("RGB", (300, 300), (250, 250, 250)),
}


@pytest.mark.parametrize("name", PICTURES)
def test_it_is_flagged_and_never_low(name: str, ensemble: Ensemble) -> None:
    limit = ensemble.manifest.thresholds.out_of_scope
    assert limit is not None, "the release does not judge the scope"
    (said,) = ensemble.predict([ensemble.prepare(PICTURES[name]())])
    assert said.out_of_scope is not None
    assert said.out_of_scope > limit
    finding = Finding(said.p_severe, said.disagreement, said.out_of_scope)
    triage = triage_image(finding, ensemble.manifest.thresholds.policy())
    assert triage.severity is not Severity.LOW
    assert triage.severity is Severity.SEVERE or "out_of_scope" in triage.reasons
