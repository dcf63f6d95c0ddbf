"""Drawn likenesses of severe lesions: sketches of textbook features in the pigments of skin."""

import numpy as np

from dermtriage_cli.demo.samples.canvas import (
    Field,
    Points,
    curve,
    dots,
    lattice,
    noise,
    step,
    strokes,
)
from dermtriage_cli.demo.samples.place import Place, depth_field
from dermtriage_cli.demo.samples.skin import Pigments


def melanoma_like(rng: np.random.Generator, where: Place, skin: Pigments) -> None:
    """Draw several lobes with uneven pigment, regression, a veil and globules."""
    depth = depth_field(rng, where.part(rng, 0.1, 0.85), 0.6, 0.17)
    for _ in range(rng.integers(2, 4)):
        lobe = where.part(rng, rng.uniform(0.4, 0.55), rng.uniform(0.4, 0.5))
        share = np.float32(lobe.radius / where.radius)
        depth = np.maximum(depth, share * depth_field(rng, lobe, 0.5, 0.17))
    # Its edge is sharp in one part and fades in another.
    fading = 0.06 + 0.3 * step(noise(rng, where.radius * 2), 0.2, 1.5)
    inside = np.clip(depth / fading + 0.4, 0, 1)

    def zone(away: float, share: float, soft: float = 0.6) -> Field:
        return step(depth_field(rng, where.part(rng, away, share), 0.6, 0.3), 0.1, soft)

    melanin = 0.9 + 0.35 * noise(rng, where.radius * 0.5, 4)
    melanin += 0.5 * lattice(rng, rng.uniform(9, 16)) * zone(0.5, 0.8)
    melanin += np.float32(rng.uniform(1.2, 2.4)) * zone(rng.uniform(0.1, 0.5), 0.45)
    melanin += np.float32(rng.uniform(0.0, 1.6)) * zone(0.6, 0.3, 0.4)
    regression = zone(0.5, rng.uniform(0.3, 0.45), 0.8)
    veil = zone(rng.uniform(0.2, 0.5), rng.uniform(0.35, 0.5), 0.8)
    flush = zone(0.6, rng.uniform(0.3, 0.5), 0.9)
    melanin = np.clip(melanin, 0.25, None) * (1 - 0.85 * regression) * (1 - 0.6 * veil)
    skin.melanin += inside * melanin
    skin.deep += inside * veil * np.float32(rng.uniform(0.8, 1.4))
    skin.blood += inside * (0.25 + 0.15 * noise(rng, 30, 3) + 1.1 * flush)
    skin.white += inside * regression * np.float32(rng.uniform(0.12, 0.3))
    count = int(rng.integers(8, 30))
    globules = dots(where.inside(rng, count, 0.9), rng.uniform(1.0, 3.5, count))
    skin.melanin += 0.9 * globules * step(depth, -0.05, 0.2)


def bcc_like(rng: np.random.Generator, where: Place, skin: Pigments) -> None:
    """Draw a pale red lesion with branching vessels and blue-grey nests."""
    depth = depth_field(rng, where, 0.5, 0.10)
    inside = step(depth, 0.03, rng.uniform(0.25, 0.45))
    skin.blood += inside * (0.55 + 0.15 * noise(rng, 40, 3))
    skin.white += inside * np.clip(0.13 + 0.05 * noise(rng, 25, 2), 0, 0.3)
    skin.blood += 1.6 * _vessels(rng, where) * step(depth, 0.0, 0.3)
    count = int(rng.integers(3, 9))
    nests = dots(where.inside(rng, count, 0.75), rng.uniform(4, 0.16 * where.radius + 5, count))
    skin.deep += 1.5 * step(nests + 0.25 * noise(rng, 9, 2), 0.6, 0.8) * inside
    if rng.random() < 0.5:
        ulcer = step(depth_field(rng, where.part(rng, 0.3, 0.25), 0.5, 0.2), 0.1, 0.3)
        skin.blood += 2.4 * ulcer
        skin.melanin += 0.7 * ulcer


def _vessels(rng: np.random.Generator, where: Place) -> Field:
    """Return branching vessels that grow inwards and thin out."""
    lines = []
    for _ in range(rng.integers(4, 8)):
        angle = rng.random() * 2 * np.pi
        way = -np.array([np.cos(angle), np.sin(angle)])
        stem = -way * where.radius * rng.uniform(0.7, 1.0) + where.centre
        grown = [(stem, way, rng.uniform(2.0, 3.4))]
        for _ in range(9):
            start, way, width = grown.pop(rng.integers(len(grown)))
            turn = rng.normal(0, 0.45)
            way = _turned(way, turn)
            length = where.radius * rng.uniform(0.2, 0.45)
            end = start + way * length
            bend = start + _turned(way, rng.normal(0, 0.5)) * length / 2
            lines.append((curve(start, bend, end, 8), width, width * 0.75))
            grown += [(end, way, width * 0.75), (end, _turned(way, rng.normal(0, 0.9)), width / 2)]
    return strokes(lines)


def _turned(way: Points, angle: float) -> Points:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned: Points = turn @ way
    return turned


def actinic_like(rng: np.random.Generator, where: Place, skin: Pigments) -> None:
    """Draw a red net around pale follicles, under scales."""
    depth = depth_field(rng, where, 0.5, 0.16)
    inside = step(depth, 0.08, rng.uniform(0.35, 0.7))
    # A red net around pale follicles, under scales.
    holes = 1 - lattice(rng, rng.uniform(13, 22))
    skin.blood += inside * (0.7 + 0.2 * noise(rng, 30, 4)) * (1 - 0.45 * holes)
    skin.white += inside * 0.10 * step(holes, 0.7, 0.5)
    scales = step(noise(rng, 18, 5), rng.uniform(0.8, 1.3), 0.9)
    skin.white += inside * np.float32(rng.uniform(0.2, 0.45)) * scales
    crusts = step(noise(rng, 26, 4), 1.1, 0.8)
    skin.melanin += inside * (0.15 + 0.5 * crusts)
