"""Convolutions as a CPU does them fastest: weights laid out beforehand, the activation within.

torch has oneDNN lay the weights out anew at every convolution, and keeps some of them for a slower
way of its own, depending on the number of threads. Here oneDNN does them all, by the operators
that ``torch.compile`` takes as well, but without the compiler that it needs.
"""

import copy
import warnings
from functools import cache
from operator import attrgetter

import torch
from torch import Tensor, nn


class FusedConvolution(nn.Module):
    """A convolution, and the bounds that its results are brought within.

    Parameters
    ----------
    convolution
        Whose weights are taken.
    bounds
        Of the activation that follows; None if there is none.
    """

    def __init__(self, convolution: nn.Conv2d, bounds: tuple[float, float] | None) -> None:
        super().__init__()
        self._shape: list[int] = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            self._step = torch.jit.script(_Step(convolution, bounds))

    def forward(self, values: Tensor) -> Tensor:
        """Convolve, shape (n, channels, height, width), in the precision of the weights."""
        # How weights are best laid out depends on what they are going to meet.
        self._shape = list(values.shape)
        convolved: Tensor = self._step(values)
        return convolved


class _Step(nn.Module):
    """What is done, written so that it can be recorded: by itself, a list of bounds could not."""

    padding: list[int]
    stride: list[int]
    dilation: list[int]
    groups: int
    activation: str
    bounds: list[float]

    def __init__(self, convolution: nn.Conv2d, bounds: tuple[float, float] | None) -> None:
        super().__init__()
        weight, bias = convolution.weight.detach(), convolution.bias
        self.weight = nn.Buffer(weight)
        self.bias = nn.Buffer(weight.new_zeros(len(weight)) if bias is None else bias.detach())
        self.padding = [int(cells) for cells in convolution.padding]
        self.stride = list(convolution.stride)
        self.dilation = list(convolution.dilation)
        self.groups = convolution.groups
        self.activation = "none" if bounds is None else "hardtanh"
        self.bounds = list(bounds or ())

    def forward(self, values: Tensor) -> Tensor:
        bounds = torch.jit.annotate(list[int | float | complex | None], [])  # type: ignore[no-untyped-call]
        for bound in self.bounds:
            bounds.append(bound)
        convolved: Tensor = torch.ops.mkldnn._convolution_pointwise(
            values.to(self.bias.dtype),
            self.weight,
            self.bias,
            self.padding,
            self.stride,
            self.dilation,
            self.groups,
            self.activation,
            bounds,
            "",
        )
        return convolved

    @torch.jit.export
    def lay_out(self, shape: list[int]) -> None:
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(
            self.weight, self.padding, self.stride, self.dilation, self.groups, shape
        )


@cache
def can_fuse(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether oneDNN convolves on a device in a precision: on most CPUs.

    It is tried, since not every build of torch has these operators for every processor.
    """
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    plain = nn.Sequential(nn.Conv2d(8, 8, 1), nn.ReLU6()).eval().to(dtype)
    values = torch.ones(1, 8, 4, 4, dtype=dtype)
    try:
        with torch.inference_mode():
            return torch.allclose(fused(plain)(values), plain(values), atol=0.1)
    except (AttributeError, RuntimeError):
        return False


def fused(network: nn.Module) -> nn.Module:
    """Return a copy of a network whose convolutions are fused; it bears no gradients."""
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        # Batch norms that were folded left nothing between a convolution and its activation.
        left = [(n, c) for n, c in parent.named_children() if not isinstance(c, nn.Identity)]
        for index, (name, child) in enumerate(left):
            if not isinstance(child, nn.Conv2d) or child.padding_mode != "zeros":
                continue
            after, activation = left[index + 1] if index + 1 < len(left) else ("", None)
            bounds = None
            if isinstance(parent, nn.Sequential) and isinstance(activation, nn.Hardtanh):
                bounds = (activation.min_val, activation.max_val)
                setattr(parent, after, nn.Identity())
            setattr(parent, name, FusedConvolution(child, bounds))
    return network


def lay_out_weights(recorded: nn.Module, network: nn.Module) -> None:
    """Lay out the weights of a recorded network for what it was recorded with.

    Parameters
    ----------
    recorded
        Its weights are changed; not yet frozen.
    network
        What it was recorded from.
    """
    for name, module in network.named_modules():
        if isinstance(module, FusedConvolution):
            attrgetter(f"{name}._step")(recorded).lay_out(module._shape)
