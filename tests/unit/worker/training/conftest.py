import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermtriage_worker.training.config import AugmentConfig, MemberConfig, Phase, TrainConfig

_KINDS = ("mel", "nv", "bcc", "bkl")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of HAM10000's layout: severe lesions are dark, benign ones bright."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "images_200x150").mkdir()
    generator = np.random.default_rng(0)
    with (folder / "HAM10000_metadata.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"])
        for lesion in range(48):
            kind = _KINDS[lesion % len(_KINDS)]
            for sibling in range(1 + lesion % 3 // 2):
                name = f"IMG_{lesion:03}_{sibling}"
                writer.writerow([f"L{lesion:03}", name, kind, "histo", "50.0", "male", "back"])
                level = 60 if kind in ("mel", "bcc") else 190
                noise = generator.normal(level, 12, (150, 200, 3)).clip(0, 255)
                path = folder / "images_200x150" / f"{name}.jpg"
                Image.fromarray(noise.astype(np.uint8)).save(path)
    return folder


@pytest.fixture
def config() -> TrainConfig:
    member = MemberConfig(
        name="small", architecture="lesionnet_tiny", pretrained=False, batch_size=8,
        average_decay=0.5, phases=(Phase(epochs=3, input_size=32, learning_rate=5e-3),),
    )  # fmt: skip
    short = member.phases[0].model_copy(update={"epochs": 1})
    return TrainConfig(
        seed=5,
        folds=2,
        threads=1,
        members=(member, member.model_copy(update={"name": "other", "phases": (short,)})),
        # Brightness is what tells the classes of this data set apart.
        augment=AugmentConfig(tone=0.05, channel_gain=0.05, vignette_share=0.1),
    )
