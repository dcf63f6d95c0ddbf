"""Plausible referral metadata for a sample, with the names of the ISIC archive."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dermtriage_cli.demo.samples.kind import Kind

ANATOM_SITES = (
    "anterior torso",
    "posterior torso",
    "upper extremity",
    "lower extremity",
    "head/neck",
    "palms/soles",
    "oral/genital",
)

_OLDEST = 85
"""Ages come in steps of five years and stop here, so that the very old cannot be told apart."""


@dataclass(frozen=True, slots=True)
class _Habit:
    """Who has such a lesion, where, and how large it is."""

    ages: tuple[int, int]
    diameters_mm: tuple[float, float]
    sites: tuple[int, ...]
    """How often at each of the anatomical sites, in percent."""


_HABITS: Mapping[Kind, _Habit] = {
    Kind.MOLE: _Habit((15, 65), (3.5, 8.0), (28, 36, 15, 15, 4, 1, 1)),
    Kind.MELANOMA_LIKE: _Habit((40, 90), (8.0, 13.5), (22, 30, 18, 20, 6, 3, 1)),
    Kind.BCC_LIKE: _Habit((50, 95), (5.0, 11.0), (18, 24, 10, 8, 40, 0, 0)),
    Kind.ACTINIC_LIKE: _Habit((55, 95), (6.0, 12.0), (6, 6, 20, 8, 60, 0, 0)),
    Kind.KERATOSIS_LIKE: _Habit((45, 90), (5.0, 12.0), (28, 34, 12, 10, 16, 0, 0)),
    Kind.DERMATOFIBROMA_LIKE: _Habit((25, 65), (4.0, 8.0), (6, 8, 26, 60, 0, 0, 0)),
    Kind.ANGIOMA_LIKE: _Habit((30, 80), (3.0, 6.5), (46, 24, 12, 8, 8, 1, 1)),
}


def diameter_mm(rng: np.random.Generator, kind: Kind) -> float:
    """Return the long diameter of a lesion of that kind, in millimetres."""
    return round(float(rng.uniform(*_HABITS[kind].diameters_mm)), 1)


def referral(
    rng: np.random.Generator, kind: Kind, skin_type: str, diameter: float, number: int
) -> dict[str, Any]:
    """Return what a clinic writes with the photograph; the pseudonyms name nobody."""
    habit = _HABITS[kind]
    age = int(rng.integers(habit.ages[0], habit.ages[1] + 1)) // 5 * 5
    return {
        "patient_id": f"P-{rng.integers(16**8):08x}",
        "lesion_id": f"L-{rng.integers(16**8):08x}",
        "clinic_reference": f"SAMPLE-{number:04d}",
        "image_type": "dermoscopic",
        "age_approx": min(age, _OLDEST),
        "sex": str(rng.choice(["male", "female"])),
        "anatom_site": str(rng.choice(ANATOM_SITES, p=np.array(habit.sites) / 100)),
        "fitzpatrick_skin_type": skin_type,
        "clin_size_long_diam_mm": diameter,
        "personal_hx_mm": bool(rng.random() < 0.06),
        "family_hx_mm": bool(rng.random() < 0.10),
        "priority": str(
            rng.choice(["routine", "urgent", "asap", "stat"], p=[0.82, 0.12, 0.04, 0.02])
        ),
    }
