"""Distortions: of the right size and range, repeatable, and none when none is asked for."""

import pytest
import torch
from torch import Tensor

from dermtriage_worker.training.augment import Augmentation
from dermtriage_worker.training.config import AugmentConfig

NOTHING = AugmentConfig(
    zoom=(1, 1), rotation_degrees=0, stretch=0, shift=0, channel_gain=0, tone=0,
    blur_share=0, sharpen_share=0, jpeg_share=0, vignette_share=0, hair_share=0, ink_share=0,
)  # fmt: skip


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def augment(frames: Tensor, size: int, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    return Augmentation(config, size, seed=3)(frames, generator)


def _frames(count: int = 4) -> Tensor:
    return torch.randint(0, 256, (count, 3, 150, 200), dtype=torch.uint8, generator=_generator(9))


def test_result_is_a_batch_of_networks_inputs() -> None:
    values = augment(_frames(), 96, AugmentConfig(), _generator())
    assert values.shape == (4, 3, 96, 96)
    assert values.dtype == torch.float32
    assert values.isfinite().all()
    assert values.min() >= 0
    assert values.max() <= 1


def test_same_generator_same_distortions() -> None:
    one = augment(_frames(), 64, AugmentConfig(), _generator(1))
    assert torch.equal(one, augment(_frames(), 64, AugmentConfig(), _generator(1)))
    assert not torch.equal(one, augment(_frames(), 64, AugmentConfig(), _generator(2)))


def test_without_distortions_a_square_is_only_turned() -> None:
    frames = _frames(8)
    centre = frames[..., 25:175].float() / 255
    for frame, square in zip(centre, augment(frames, 150, NOTHING, _generator()), strict=True):
        views = [
            turned
            for quarter in range(4)
            for turned in (frame.rot90(quarter, (1, 2)), frame.rot90(quarter, (1, 2)).flip(2))
        ]
        assert min(float((square - view).abs().max()) for view in views) < 0.01


def test_vignette_darkens_the_corners_alone() -> None:
    frames = torch.full((4, 3, 150, 200), 200, dtype=torch.uint8)
    config = NOTHING.model_copy(update={"vignette_share": 1.0, "vignette_radius": (0.8, 0.8)})
    values = augment(frames, 100, config, _generator())
    assert values[..., :5, :5].max() < 0.3
    assert values[..., 50, 50].min() > 0.7


@pytest.mark.parametrize(
    "change",
    [
        {"blur_share": 1.0, "blur_sigma": (1.5, 1.5)},
        {"jpeg_share": 1.0, "jpeg_quality": (10, 10)},
    ],
)
def test_blur_and_jpeg_take_detail_away(change: dict[str, object]) -> None:
    plain = augment(_frames(), 150, NOTHING, _generator())
    changed = augment(_frames(), 150, NOTHING.model_copy(update=change), _generator())
    assert _detail(changed) < 0.8 * _detail(plain)


def test_sharpening_adds_detail() -> None:
    # Against a soft picture: noise has no detail left to gain before it is clipped.
    soft = torch.nn.functional.avg_pool2d(_frames().float(), 5, 1, 2).to(torch.uint8)
    plain = augment(soft, 150, NOTHING, _generator())
    sharpen = {"sharpen_share": 1.0, "sharpen_amount": (1.0, 1.0)}
    changed = augment(soft, 150, NOTHING.model_copy(update=sharpen), _generator())
    assert _detail(changed) > 1.2 * _detail(plain)


@pytest.mark.parametrize(("share", "channel"), [("hair_share", 0), ("ink_share", 2)])
def test_hairs_and_ink_cover_a_part_of_the_skin(share: str, channel: int) -> None:
    frames = torch.full((8, 3, 150, 200), 230, dtype=torch.uint8)
    values = augment(frames, 96, NOTHING.model_copy(update={share: 1.0}), _generator())
    covered = (values < 0.8).any(1).float().mean((1, 2))
    assert (covered > 0).all()
    assert covered.mean() < 0.5
    # Hair is brown: red is its strongest channel; ink is violet.
    darkest = values.amin((2, 3))
    assert (darkest.argmax(1) == channel).float().mean() > 0.6


def _detail(values: Tensor) -> float:
    return float((values[..., 1:] - values[..., :-1]).abs().mean())
