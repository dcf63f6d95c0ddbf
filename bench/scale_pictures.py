"""The cost of a photograph in storage and CPU time of a worker, measured for bench.scale."""

import io
import time
from dataclasses import asdict
from statistics import mean
from typing import Any

import numpy as np
from PIL import Image

from bench.photographs import SEED
from dermtriage.core.settings import Settings
from dermtriage.imaging.rendition import make_rendition, open_rendition
from dermtriage_cli.demo.samples import generate
from dermtriage_worker.ensemble.image.photograph import decode_original
from dermtriage_worker.ensemble.image.preprocessing import decode_for, prepare
from dermtriage_worker.ensemble.inference import Ensemble

PHONE = (4000, 3000)
"""Width and height in pixels: 12 megapixels."""

NOISE = 3.0
"""Standard deviation of a sensor's noise, from 0 to 255."""


def measure(drawn: int, phones: int) -> dict[str, float]:
    """Measure the cost of a photograph; see `bench.scale.Taken`.

    Parameters
    ----------
    drawn
        How many to draw at 600x450 pixels.
    phones
        How many of these to enlarge to a phone's size.
    """
    originals = [sample.jpeg for sample in generate(drawn, SEED)]
    figures: dict[str, float] = {}
    for kind, photographs in (
        ("drawn", originals),
        ("phone", [_phone_photograph(original) for original in originals[:phones]]),
    ):
        renditions = [make_rendition(photograph) for photograph in photographs]
        start = time.thread_time()
        for rendition in renditions:
            prepare(decode_for(rendition))
        figures |= {
            f"{kind}_bytes": mean(len(photograph) for photograph in photographs),
            f"{kind}_rendition_bytes": mean(len(rendition) for rendition in renditions),
            f"{kind}_decode_seconds": (time.thread_time() - start) / len(renditions),
        }
    return figures


def prediction(settings: Settings) -> dict[str, Any]:
    """Return the fields of the shipped release's prediction for a drawn photograph."""
    ensemble = Ensemble.load(settings.releases_dir / settings.default_release)
    (sample,) = generate(1, SEED)
    (predicted,) = ensemble.predict([decode_original(sample.jpeg, ensemble).square])
    return asdict(predicted)


def _phone_photograph(original: bytes) -> bytes:
    """Enlarge a drawn photograph to a phone's size, with a sensor's noise."""
    # Without noise an enlarged drawing compresses far better than a photograph.
    noise = np.random.default_rng(SEED).normal(0, NOISE, (PHONE[1], PHONE[0], 1))
    large = open_rendition(original).resize(PHONE, Image.Resampling.BICUBIC)
    noisy = np.clip(np.asarray(large, dtype=np.float32) + noise, 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(noisy).save(out, "JPEG", quality=90)
    return out.getvalue()
