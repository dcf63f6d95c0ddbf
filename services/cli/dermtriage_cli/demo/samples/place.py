"""Where a lesion is in the picture, and the soft shape that it fills."""

from dataclasses import dataclass

import numpy as np

from dermtriage_cli.demo.samples.canvas import HEIGHT, WIDTH, Field, Points, distance, noise


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


def place_lesion(rng: np.random.Generator, diameter: float) -> Place:
    """Return a place near the middle of the picture for a lesion of that diameter in pixels."""
    centre = (WIDTH * rng.normal(0.5, 0.04), HEIGHT * rng.normal(0.5, 0.04))
    return Place(centre, diameter / 2)


def depth_field(rng: np.random.Generator, where: Place, oval: float, rough: float) -> Field:
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
