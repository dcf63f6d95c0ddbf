"""Phone photographs of 12 megapixels: our rendition against a plain one, in time and in scores.

Ours is `dermtriage.imaging.rendition.make_rendition`, which decodes a photograph at a fraction of
its size. The plain way decodes every pixel, rotates the picture upright, and resizes it with the
same filter to the same size and JPEG quality. Time is the CPU time of one thread, measured
alternately. The scores are those that a release gives the two renditions of each photograph.

``python -m bench.phone [PHOTOGRAPHS [RELEASE]]`` prints the figures as JSON.
"""

import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median, quantiles

import numpy as np
from PIL import ExifTags, Image, ImageOps

from bench.photographs import SEED
from dermtriage.core.settings import get_settings
from dermtriage.imaging.rendition import (
    RENDITION_QUALITY,
    RENDITION_SIDE,
    make_rendition,
    open_rendition,
)
from dermtriage_cli.demo.samples import generate
from dermtriage_worker.ensemble.image.photograph import decode_rendition
from dermtriage_worker.ensemble.inference import Ensemble

PHONE = (4000, 3000)
"""Width and height of the sensor in pixels."""

QUALITY = 90
ORIENTATIONS = (1, 6, 3, 8)
"""EXIF's values for the four ways to hold a phone."""

NOISE = 10.0
"""Standard deviation of a sensor's noise, from 0 to 255. It makes the files as large as a phone's,
almost 4 MB; without noise an enlarged drawing is a fraction of that."""

_MARGIN = 256
"""Pixels by which the field of noise is larger than a photograph, so that each gets its own."""


@dataclass(frozen=True)
class Measured:
    """Median seconds per photograph, and the differences between the scores of both renditions."""

    photographs: int
    megabytes: float
    ours_seconds: float
    plain_seconds: float
    speedup: float
    mean_difference: float
    p99_difference: float
    greatest_difference: float


def measure(
    release: Path, photographs: int = 200, on_step: Callable[[str], None] = lambda _: None
) -> Measured:
    """Draw at least 2 photographs, and compare both ways on each."""
    ensemble = Ensemble.load(release)
    ways = {make_rendition: [], plain_rendition: []}
    sizes, differences = [], []
    for number, photograph in enumerate(_draw(photographs), 1):
        scores = []
        for way, seconds in ways.items():
            start = time.thread_time()
            rendition = way(photograph)
            seconds.append(time.thread_time() - start)
            scores.append(_p_severe(ensemble, rendition))
        differences.append(abs(scores[0] - scores[1]))
        sizes.append(len(photograph) / 1e6)
        # The second way finds the photograph in the CPU's cache.
        ways = dict(reversed(ways.items()))
        if number % 20 == 0:
            on_step(f"{number} of {photographs} phone photographs")
    ours, plain = median(ways[make_rendition]), median(ways[plain_rendition])
    return Measured(
        photographs=photographs,
        megabytes=mean(sizes),
        ours_seconds=ours,
        plain_seconds=plain,
        speedup=plain / ours,
        mean_difference=mean(differences),
        p99_difference=quantiles(differences, n=100, method="inclusive")[-1],
        greatest_difference=max(differences),
    )


def plain_rendition(photograph: bytes) -> bytes:
    """Make the rendition of a photograph from all its pixels."""
    picture = Image.open(io.BytesIO(photograph))
    picture.load()
    upright = ImageOps.exif_transpose(picture)
    scale = RENDITION_SIDE / max(upright.size)
    size = (round(upright.width * scale), round(upright.height * scale))
    out = io.BytesIO()
    upright.resize(size, Image.Resampling.LANCZOS).save(
        out, "JPEG", quality=RENDITION_QUALITY, subsampling=0
    )
    return out.getvalue()


def _p_severe(ensemble: Ensemble, rendition: bytes) -> float:
    (prediction,) = ensemble.predict([decode_rendition(rendition, ensemble).square])
    return prediction.p_severe


def _draw(count: int) -> Iterator[bytes]:
    """Enlarge drawn photographs to a phone's size, with a sensor's noise."""
    width, height = PHONE
    rng = np.random.default_rng(SEED)
    shape = (height + _MARGIN, width + _MARGIN, 3)
    field = np.rint(NOISE * rng.standard_normal(shape, dtype=np.float32)).astype(np.int16)
    for index, sample in enumerate(generate(count, SEED)):
        drawn = open_rendition(sample.jpeg).resize(PHONE, Image.Resampling.BICUBIC)
        top, left = rng.integers(0, _MARGIN, 2)
        noisy = field[top : top + height, left : left + width] + np.asarray(drawn)
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = ORIENTATIONS[index % len(ORIENTATIONS)]
        out = io.BytesIO()
        taken = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
        taken.save(out, "JPEG", quality=QUALITY, exif=exif)
        yield out.getvalue()


def main() -> None:
    arguments = sys.argv[1:]
    photographs = int(arguments[0]) if arguments else 200
    settings = get_settings()
    release = Path(
        arguments[1] if arguments[1:] else settings.releases_dir / settings.default_release
    )
    print(json.dumps(asdict(measure(release, photographs, lambda s: print(s, file=sys.stderr)))))


if __name__ == "__main__":
    main()
