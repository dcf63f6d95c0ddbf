"""Skin: its tone by phototype, its texture, and how pigments colour it.

Colour comes from absorption (Beer and Lambert): light that skin would return is weakened by each
pigment on the way, ``tone * exp(-sum(amount * absorption))``. One lesion thus looks as it should
on light and on dark skin.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dermtriage_cli.demo.samples.canvas import Field, blank, noise, step

SKIN_TYPES = ("I", "II", "III", "IV", "V", "VI")

_ITA = {
    "I": (56.0, 68.0),
    "II": (43.0, 54.0),
    "III": (30.0, 40.0),
    "IV": (13.0, 26.0),
    "V": (-25.0, 5.0),
    "VI": (-55.0, -35.0),
}
"""Individual typology angles in degrees; groups after Chardon et al., Int J Cosmet Sci 1991."""

_MELANIN = np.array([0.62, 1.05, 1.50], np.float32)
_BLOOD = np.array([0.12, 1.00, 0.78], np.float32)
_DEEP_MELANIN = np.array([1.25, 0.98, 0.66], np.float32)
"""Absorption in red, green and blue. Melanin deep in the skin looks blue, as blue light comes
back from the layers above it."""


@dataclass(slots=True)
class Pigments:
    """How much of what colours the skin at each pixel.

    Attributes
    ----------
    melanin, blood, deep
        Absorbances: 0 adds nothing, 1 is clearly seen, 3 is nearly black.
    white
        Share of light scattered back before it reaches a pigment, 0 to 1: scars, scales, cysts.
    """

    melanin: Field = field(default_factory=blank)
    blood: Field = field(default_factory=blank)
    deep: Field = field(default_factory=blank)
    white: Field = field(default_factory=blank)


def tone(rng: np.random.Generator, skin_type: str) -> tuple[float, float, float]:
    """Return a skin tone of a phototype as linear RGB, each 0 to 1."""
    angle = np.radians(rng.uniform(*_ITA[skin_type]))
    b = rng.uniform(11, 16)
    lightness = np.clip(50 + b * np.tan(angle), 24, 86)
    return _linear_rgb(float(lightness), float(rng.uniform(9, 14)), float(b))


def texture(rng: np.random.Generator, skin_type: str) -> Pigments:
    """Return skin without a lesion: uneven pigment, flush, and the net of fine lines."""
    melanin = 0.05 * noise(rng, 140, 3)
    if skin_type in {"I", "II", "III"} and rng.random() < 0.3:
        # Light skin that saw much sun is freckled.
        freckles = step(noise(rng, rng.uniform(9, 16), 2), 1.8, 1.6)
        melanin += np.float32(rng.uniform(0.08, 0.25)) * freckles
    # Furrows run where a noise passes through zero, as a net of crossing lines.
    furrows = np.exp(-np.square(noise(rng, rng.uniform(11, 20), 2)) * 14)
    melanin += np.float32(rng.uniform(0.03, 0.11)) * furrows + 0.025 * noise(rng, 3)
    blood = np.float32(rng.uniform(0.0, 0.25)) + 0.04 * noise(rng, 70, 3)
    return Pigments(melanin, blood)


def colour(tone: tuple[float, float, float], pigments: Pigments) -> NDArray[np.float32]:
    """Return pigmented skin as linear red, green and blue, shape (3, height, width)."""
    planes = []
    for channel, base in enumerate(tone):
        absorbance = (
            pigments.melanin * _MELANIN[channel]
            + pigments.blood * _BLOOD[channel]
            + pigments.deep * _DEEP_MELANIN[channel]
        )
        plane = np.float32(base) * np.exp(-absorbance)
        # What scatters back is paler than the skin around it, whatever its tone.
        pale = np.float32(min(0.9, 0.22 + 0.9 * base))
        planes.append(plane + (pale - plane) * pigments.white)
    return np.stack(planes)


def _linear_rgb(lightness: float, a: float, b: float) -> tuple[float, float, float]:
    """CIE L*a*b* (D65) to linear sRGB primaries (IEC 61966-2-1), kept above black."""
    fy = (lightness + 16) / 116
    x, y, z = (
        white * (f**3 if f > 6 / 29 else 3 * (6 / 29) ** 2 * (f - 4 / 29))
        for white, f in ((0.95047, fy + a / 500), (1.0, fy), (1.08883, fy - b / 200))
    )

    def cut(value: float) -> float:
        return min(max(value, 0.004), 1.0)

    return (
        cut(3.2406 * x - 1.5372 * y - 0.4986 * z),
        cut(-0.9689 * x + 1.8758 * y + 0.0415 * z),
        cut(0.0557 * x - 0.2040 * y + 1.0570 * z),
    )
