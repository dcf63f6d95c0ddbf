"""The photographs that every measurement shares: drawn, 600x450, JPEG."""

from pathlib import Path

from dermtriage_cli.demo.samples import generate

SEED = 20261123


def draw(folder: Path, count: int) -> list[Path]:
    """Draw photographs into a folder, unless they are there, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:05}.jpg" for number in range(count)]
    if not all(path.exists() for path in paths):
        for path, sample in zip(paths, generate(count, SEED), strict=True):
            path.write_bytes(sample.jpeg)
    return paths
