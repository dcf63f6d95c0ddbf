"""Advice to retake a photograph, from the figures of its quality. Pure: no I/O.

It is advice only: no reason changes, delays or suppresses a score. The reasons have the names of
ImageQX (Jalaboi and others 2023).

Every threshold but that of the resolution is set so that few of HAM10000's photographs, all of
which experts could read, get advice: of a random sample of 1,000 at 200x150 pixels, at most 1.3 %
for any one reason.
"""

from collections.abc import Mapping
from enum import StrEnum


class QualityReason(StrEnum):
    """Why a new photograph would help."""

    BAD_FRAMING = "bad_framing"
    BAD_LIGHTING = "bad_lighting"
    BLURRY = "blurry"
    LOW_RESOLUTION = "low_resolution"
    DISTANCE = "distance"


ADVICE: Mapping[QualityReason, str] = {
    QualityReason.BAD_FRAMING: "Bring the whole lesion into the middle, with skin around it.",
    QualityReason.BAD_LIGHTING: "Use even light; avoid shadow, flash glare and backlight.",
    QualityReason.BLURRY: "Hold still, let the camera focus on the lesion, and clean the lens.",
    QualityReason.LOW_RESOLUTION: "Send the original file, not a thumbnail or a screenshot.",
    QualityReason.DISTANCE: "Go closer, until the lesion fills a third of the picture's width.",
}
"""What to do about each reason, for the person with the camera."""

MIN_SHARPNESS = 0.22
"""Below it are 0.7 % of the sample, and all of the sample once blurred by 2 of the square's 150
pixels (then 95 % measure 0.15 or less)."""

BRIGHTNESS = (0.38, 0.85)
"""Outside are 0.6 % of the sample, and 98 % of the sample at half the exposure."""

MAX_CLIPPED = 0.10
"""Share of black, or of white, pixels without detail: more in 0.2 % of the sample."""

MIN_LESION_CONTRAST = 0.20
"""Less in none of the sample; plain skin with the noise of a sensor measures 0.02."""

MAX_OFF_CENTRE = 0.80
"""More in 0.8 % of the sample; 1 is the edge of the photograph."""

MAX_EDGE_SHARE = 0.45
"""More in 0.5 % of the sample: the lesion is cut off on about half of all sides."""

MIN_LESION_SHARE = 0.013
"""Less in 0.8 % of the sample; a lesion whose width is an eighth of the picture's covers 0.012."""

LOW_RESOLUTION_SIDE = 200
"""Pixels of the shorter side below which a photograph counts as low resolution: it holds little
more than the 150 pixels that the networks get, and zooming in shows a clinician nothing new. The
copies of HAM10000 at 200x150 are below it, and are scored like any others."""


def quality_reasons(
    figures: Mapping[str, float], *, width: int, height: int
) -> tuple[QualityReason, ...]:
    """Return why a photograph should be taken again.

    Parameters
    ----------
    figures
        As an assessment stores them. A figure that the release did not measure gives no reason.
    width, height
        Of the photograph, in pixels.

    Returns
    -------
    tuple
        In the order of `QualityReason`; empty if the photograph is good enough.
    """

    def below(name: str, bound: float) -> bool:
        return name in figures and figures[name] < bound

    def above(name: str, bound: float) -> bool:
        return name in figures and figures[name] > bound

    found = {
        QualityReason.BAD_FRAMING: below("lesion_contrast", MIN_LESION_CONTRAST)
        or above("off_centre", MAX_OFF_CENTRE)
        or above("edge_share", MAX_EDGE_SHARE),
        QualityReason.BAD_LIGHTING: below("brightness", BRIGHTNESS[0])
        or above("brightness", BRIGHTNESS[1])
        or above("dark_share", MAX_CLIPPED)
        or above("bright_share", MAX_CLIPPED),
        QualityReason.BLURRY: below("sharpness", MIN_SHARPNESS),
        QualityReason.LOW_RESOLUTION: min(width, height) < LOW_RESOLUTION_SIDE,
        QualityReason.DISTANCE: below("lesion_share", MIN_LESION_SHARE),
    }
    return tuple(reason for reason, holds in found.items() if holds)
