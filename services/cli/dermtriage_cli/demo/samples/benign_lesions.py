"""Drawn likenesses of benign lesions: sketches of textbook features in the pigments of skin."""

import numpy as np

from dermtriage_cli.demo.samples.canvas import dots, lattice, noise, step
from dermtriage_cli.demo.samples.place import Place, depth_field
from dermtriage_cli.demo.samples.skin import Pigments


def mole(rng: np.random.Generator, where: Place, skin: Pigments) -> None:
    """Draw a mole: even pigment, often with a net."""
    depth = depth_field(rng, where, 0.5, 0.035)
    inside = step(depth, 0.06, rng.uniform(0.2, 0.45))
    core = np.clip(depth, 0, 1)
    amount = np.float32(rng.uniform(0.6, 1.5)) * (0.75 + np.float32(rng.uniform(0, 0.9)) * core)
    if rng.random() < 0.65:
        net = lattice(rng, rng.uniform(7, 12))
        amount *= 0.8 + 0.45 * net * (1 - 0.7 * core)
    amount *= 1 + 0.08 * noise(rng, 24, 4)
    skin.melanin += inside * amount
    skin.blood += inside * np.float32(rng.uniform(0.1, 0.6))


def keratosis_like(rng: np.random.Generator, where: Place, skin: Pigments) -> None:
    """Draw an abrupt edge, ridges, pale cysts and dark plugs."""
    depth = depth_field(rng, where, 0.5, 0.09)
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


def dermatofibroma_like(rng: np.random.Generator, where: Place, skin: Pigments) -> None:
    """Draw a pale scar in a faint net."""
    depth = depth_field(rng, where, 0.3, 0.06)
    inside = step(depth, 0.15, rng.uniform(0.5, 0.8))
    scar = step(depth + 0.06 * noise(rng, 14, 3), rng.uniform(0.5, 0.65), 0.35)
    net = lattice(rng, rng.uniform(8, 11))
    skin.melanin += inside * (1 - scar) * (0.45 + 0.35 * net)
    skin.blood += inside * np.float32(rng.uniform(0.2, 0.5))
    streaks = np.exp(-np.square(noise(rng, 16, 3)) * 5)
    skin.white += scar * (0.10 + 0.25 * streaks)


def angioma_like(rng: np.random.Generator, where: Place, skin: Pigments) -> None:
    """Draw red to blue lakes."""
    depth = depth_field(rng, where, 0.3, 0.06)
    inside = step(depth, 0.03, 0.12)
    count = int(rng.integers(14, 30))
    sizes = where.radius * rng.uniform(0.10, 0.24, count)
    lakes = step(dots(where.inside(rng, count, 0.8), sizes) + 0.3 * noise(rng, 8, 3), 0.5, 0.9)
    skin.blood += inside * (1.0 + np.float32(rng.uniform(1.0, 2.2)) * lakes)
    skin.deep += inside * lakes * np.float32(rng.uniform(0.1, 0.9))
    skin.white += inside * (1 - lakes) * 0.08
