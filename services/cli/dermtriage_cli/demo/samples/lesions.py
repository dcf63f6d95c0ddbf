"""Lesions by kind, drawn as pigments in the skin. They are sketches of textbook features."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from dermtriage_cli.demo.samples.canvas import (
    HEIGHT,
    WIDTH,
    Field,
    Points,
    curve,
    distance,
    dots,
    lattice,
    noise,
    step,
    strokes,
)
from dermtriage_cli.demo.samples.skin import Pigments


class Kind(StrEnum):
    """What a sample looks like; a likeness and no diagnosis."""

    MOLE = "mole"
    MELANOMA_LIKE = "melanoma_like"
    BCC_LIKE = "bcc_like"
    ACTINIC_LIKE = "actinic_like"
    KERATOSIS_LIKE = "keratosis_like"
    DERMATOFIBROMA_LIKE = "dermatofibroma_like"
    ANGIOMA_LIKE = "angioma_like"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a lesion lies and how large it is, in pixels."""

    centre: tuple[float, float]
    radius: float

    def inside(self, rng: np.random.Generator, count: int, reach: float) -> Points:
        """Return random points within a share of the radius, evenly spread."""
        angle = rng.random(count) * 2 * np.pi
        distance = np.sqrt(rng.random(count)) * self.radius * reach
        return np.stack([np.cos(angle), np.sin(angle)], axis=1) * distance[:, None] + self.centre

    def part(self, rng: np.random.Generator, away: float, share: float) -> "Place":
        """Return a smaller place, off the centre by a share of the radius."""
        angle = rng.random() * 2 * np.pi
        distance = away * self.radius
        centre = (
            self.centre[0] + distance * float(np.cos(angle)),
            self.centre[1] + distance * float(np.sin(angle)),
        )
        return Place(centre, self.radius * share)


def place(rng: np.random.Generator, diameter: float) -> Place:
    """Return a place near the middle of the picture for a lesion of that diameter in pixels."""
    centre = (WIDTH * rng.normal(0.5, 0.04), HEIGHT * rng.normal(0.5, 0.04))
    return Place(centre, diameter / 2)


def draw(rng: np.random.Generator, kind: Kind, where: Place, skin: Pigments) -> None:
    """Add a lesion to the pigments of the skin."""
    _DRAWN[kind](rng, where, skin)


def _depth(rng: np.random.Generator, where: Place, oval: float, rough: float) -> Field:
    """Return a field that falls from about 1 in the lesion to 0 at its edge and below outside."""
    squeeze = 1 + oval * rng.random()
    long, short = where.radius * squeeze**0.5, where.radius / squeeze**0.5
    # Two circles that overlap along one axis make an oval.
    angle = rng.random() * np.pi
    shift = (long - short) * np.array([np.cos(angle), np.sin(angle)])
    ends = [
        (where.centre[0] + sign * shift[0], where.centre[1] + sign * shift[1]) for sign in (-1, 1)
    ]
    cones = 1 - (distance(ends[0]) + distance(ends[1])) / np.float32(2 * short)
    return cones + np.float32(rough) * noise(rng, where.radius * 0.8, 4)


def _mole(rng: np.random.Generator, where: Place, skin: Pigments) -> None:
    depth = _depth(rng, where, 0.5, 0.035)
    inside = step(depth, 0.06, rng.uniform(0.2, 0.45))
    core = np.clip(depth, 0, 1)
    amount = np.float32(rng.uniform(0.6, 1.5)) * (0.75 + np.float32(rng.uniform(0, 0.9)) * core)
    if rng.random() < 0.65:
        net = lattice(rng, rng.uniform(7, 12))
        amount *= 0.8 + 0.45 * net * (1 - 0.7 * core)
    amount *= 1 + 0.08 * noise(rng, 24, 4)
    skin.melanin += inside * amount
    skin.blood += inside * np.float32(rng.uniform(0.1, 0.6))


def _melanoma_like(rng: np.random.Generator, where: Place, skin: Pigments) -> None:
    depth = _depth(rng, where.part(rng, 0.1, 0.85), 0.6, 0.17)
    for _ in range(rng.integers(2, 4)):
        lobe = where.part(rng, rng.uniform(0.4, 0.55), rng.uniform(0.4, 0.5))
        share = np.float32(lobe.radius / where.radius)
        depth = np.maximum(depth, share * _depth(rng, lobe, 0.5, 0.17))
    # Its edge is sharp in one part and fades in another.
    fading = 0.06 + 0.3 * step(noise(rng, where.radius * 2), 0.2, 1.5)
    inside = np.clip(depth / fading + 0.4, 0, 1)

    def zone(away: float, share: float, soft: float = 0.6) -> Field:
        return step(_depth(rng, where.part(rng, away, share), 0.6, 0.3), 0.1, soft)

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


def _bcc_like(rng: np.random.Generator, where: Place, skin: Pigments) -> None:
    depth = _depth(rng, where, 0.5, 0.10)
    inside = step(depth, 0.03, rng.uniform(0.25, 0.45))
    skin.blood += inside * (0.55 + 0.15 * noise(rng, 40, 3))
    skin.white += inside * np.clip(0.13 + 0.05 * noise(rng, 25, 2), 0, 0.3)
    skin.blood += 1.6 * _vessels(rng, where) * step(depth, 0.0, 0.3)
    count = int(rng.integers(3, 9))
    nests = dots(where.inside(rng, count, 0.75), rng.uniform(4, 0.16 * where.radius + 5, count))
    skin.deep += 1.5 * step(nests + 0.25 * noise(rng, 9, 2), 0.6, 0.8) * inside
    if rng.random() < 0.5:
        ulcer = step(_depth(rng, where.part(rng, 0.3, 0.25), 0.5, 0.2), 0.1, 0.3)
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


def _actinic_like(rng: np.random.Generator, where: Place, skin: Pigments) -> None:
    depth = _depth(rng, where, 0.5, 0.16)
    inside = step(depth, 0.08, rng.uniform(0.35, 0.7))
    # A red net around pale follicles, under scales.
    holes = 1 - lattice(rng, rng.uniform(13, 22))
    skin.blood += inside * (0.7 + 0.2 * noise(rng, 30, 4)) * (1 - 0.45 * holes)
    skin.white += inside * 0.10 * step(holes, 0.7, 0.5)
    scales = step(noise(rng, 18, 5), rng.uniform(0.8, 1.3), 0.9)
    skin.white += inside * np.float32(rng.uniform(0.2, 0.45)) * scales
    crusts = step(noise(rng, 26, 4), 1.1, 0.8)
    skin.melanin += inside * (0.15 + 0.5 * crusts)


def _keratosis_like(rng: np.random.Generator, where: Place, skin: Pigments) -> None:
    depth = _depth(rng, where, 0.5, 0.09)
    # Stuck on: the edge is abrupt all around.
    inside = step(depth, 0.02, 0.07)
    ridges = np.abs(noise(rng, rng.uniform(14, 22), 2))
    base = np.float32(rng.uniform(0.25, 0.9))
    skin.melanin += inside * (base + 0.4 * ridges + 0.15 * noise(rng, 60, 4))
    skin.deep += inside * np.float32(rng.uniform(0.0, 0.25))
    skin.white += inside * np.float32(rng.uniform(0.0, 0.08))
    cysts, plugs = int(rng.integers(4, 18)), int(rng.integers(4, 16))
    pearls = dots(where.inside(rng, cysts, 0.85), rng.uniform(1.2, 3.2, cysts))
    skin.white += 0.35 * pearls * inside
    pores = dots(where.inside(rng, plugs, 0.85), rng.uniform(2.0, 5.5, plugs))
    skin.melanin += 1.1 * pores * inside


def _dermatofibroma_like(rng: np.random.Generator, where: Place, skin: Pigments) -> None:
    depth = _depth(rng, where, 0.3, 0.06)
    inside = step(depth, 0.15, rng.uniform(0.5, 0.8))
    scar = step(depth + 0.06 * noise(rng, 14, 3), rng.uniform(0.5, 0.65), 0.35)
    net = lattice(rng, rng.uniform(8, 11))
    skin.melanin += inside * (1 - scar) * (0.45 + 0.35 * net)
    skin.blood += inside * np.float32(rng.uniform(0.2, 0.5))
    streaks = np.exp(-np.square(noise(rng, 16, 3)) * 5)
    skin.white += scar * (0.10 + 0.25 * streaks)


def _angioma_like(rng: np.random.Generator, where: Place, skin: Pigments) -> None:
    depth = _depth(rng, where, 0.3, 0.06)
    inside = step(depth, 0.03, 0.12)
    count = int(rng.integers(14, 30))
    sizes = where.radius * rng.uniform(0.10, 0.24, count)
    lakes = step(dots(where.inside(rng, count, 0.8), sizes) + 0.3 * noise(rng, 8, 3), 0.5, 0.9)
    skin.blood += inside * (1.0 + np.float32(rng.uniform(1.0, 2.2)) * lakes)
    skin.deep += inside * lakes * np.float32(rng.uniform(0.1, 0.9))
    skin.white += inside * (1 - lakes) * 0.08


_DRAWN: Mapping[Kind, Callable[[np.random.Generator, Place, Pigments], None]] = {
    Kind.MOLE: _mole,
    Kind.MELANOMA_LIKE: _melanoma_like,
    Kind.BCC_LIKE: _bcc_like,
    Kind.ACTINIC_LIKE: _actinic_like,
    Kind.KERATOSIS_LIKE: _keratosis_like,
    Kind.DERMATOFIBROMA_LIKE: _dermatofibroma_like,
    Kind.ANGIOMA_LIKE: _angioma_like,
}
