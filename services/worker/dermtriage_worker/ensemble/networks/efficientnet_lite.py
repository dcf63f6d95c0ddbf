"""EfficientNet-Lite0 without its head."""

from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from dermtriage_worker.ensemble.networks.headless import HeadlessNetwork

_STAGES = (
    # expansion, channels, blocks, kernel, stride of the first block
    (1, 16, 1, 3, 1),
    (6, 24, 2, 3, 2),
    (6, 40, 2, 5, 2),
    (6, 80, 3, 3, 2),
    (6, 112, 3, 5, 1),
    (6, 192, 4, 5, 2),
)
_LAST_EXPANSION = 6


def _batch_norm(channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels, eps=1e-3)


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Module:
    layer: nn.Module = Conv2dNormActivation(
        inputs, outputs, kernel, stride, norm_layer=_batch_norm, activation_layer=nn.ReLU6
    )
    return layer


def _depthwise(channels: int, kernel: int, stride: int) -> nn.Module:
    layer: nn.Module = Conv2dNormActivation(
        channels,
        channels,
        kernel,
        stride,
        groups=channels,
        norm_layer=_batch_norm,
        activation_layer=nn.ReLU6,
    )
    return layer


class _InvertedResidual(nn.Module):
    """Expansion, depthwise convolution and linear projection; a shortcut where shapes agree."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inputs * expansion
        layers = [_convolution(inputs, wide, 1)] if expansion > 1 else []
        layers += [
            _depthwise(wide, kernel, stride),
            Conv2dNormActivation(wide, outputs, 1, norm_layer=_batch_norm, activation_layer=None),
        ]
        self.block = nn.Sequential(*layers)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, values: Tensor) -> Tensor:
        inner: Tensor = self.block(values)
        return values + inner if self.shortcut else inner


class EfficientNetLite0(HeadlessNetwork):
    """EfficientNet-Lite0 (Tan and Le 2019; the Lite family has no attention and only ReLU6)."""

    def __init__(self, classes: int) -> None:
        stages: list[nn.Module] = [_convolution(3, 32, 3, stride=2)]
        inputs = 32
        for expansion, channels, blocks, kernel, stride in _STAGES:
            for block in range(blocks):
                stages.append(
                    _InvertedResidual(
                        inputs, channels, expansion, kernel, stride if block == 0 else 1
                    )
                )
                inputs = channels
        wide = inputs * _LAST_EXPANSION
        super().__init__(
            [*stages, _convolution(inputs, wide, 1), _depthwise(wide, 3, 1)], wide, classes
        )
