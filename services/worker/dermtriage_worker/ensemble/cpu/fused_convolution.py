"""Convolutions by oneDNN with weights reordered once and the activation fused into them.

Eager torch reorders the weights at every call, and computes some convolutions with slower kernels
of its own. These are the operators that ``torch.compile`` generates for a CPU; used directly, they
need no C++ compiler. Measured on the shipped release: 1.5 times as many images/s.
"""

import copy
import warnings
from collections.abc import Callable
from functools import cache
from operator import attrgetter

import torch
from torch import Tensor, nn


class FusedConvolution(nn.Module):
    """A convolution together with the clamping activation that follows it.

    Parameters
    ----------
    convolution
        The layer to replace.
    bounds
        Least and greatest value of the activation (a Hardtanh or ReLU6); None without one.
    """

    def __init__(self, convolution: nn.Conv2d, bounds: tuple[float, float] | None) -> None:
        super().__init__()
        self._shape: list[int] = []
        with warnings.catch_warnings():
            # TorchScript is deprecated; decision 15 says what replaces it, and when.
            warnings.simplefilter("ignore", FutureWarning)
            self._step = torch.jit.script(_Step(convolution, bounds))

    def forward(self, values: Tensor) -> Tensor:
        """Convolve, shape (n, channels, height, width), in the precision of the weights."""
        # The best layout of the weights depends on the shape of the input.
        self._shape = list(values.shape)
        convolved: Tensor = self._step(values)
        return convolved


class _Step(nn.Module):
    """The operator's call as a script: a trace cannot hold its list of optional numbers."""

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
    def reorder_weight(self, shape: list[int]) -> None:
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(
            self.weight, self.padding, self.stride, self.dilation, self.groups, shape
        )


def fuse_convolutions(network: nn.Module) -> nn.Module:
    """Return a copy of a network with fused convolutions; it cannot be differentiated."""
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        # Folded batch norms left an Identity between a convolution and its activation.
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


@cache
def can_fuse(
    device: torch.device,
    dtype: torch.dtype,
    fuse: Callable[[nn.Module], nn.Module] = fuse_convolutions,
) -> bool:
    """Whether fused convolutions work on a device in a precision: true on most CPUs.

    A small network is tried, since torch is built without these operators for some processors.

    Parameters
    ----------
    fuse
        Makes the network that is tried.
    """
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    plain = nn.Sequential(nn.Conv2d(8, 8, 1), nn.ReLU6()).eval().to(dtype)
    values = torch.ones(1, 8, 4, 4, dtype=dtype)
    try:
        with torch.inference_mode():
            return torch.allclose(fuse(plain)(values), plain(values), atol=0.1)
    except (AttributeError, RuntimeError):
        return False


def reorder_weights(traced: nn.Module, network: nn.Module) -> None:
    """Reorder the weights of a traced network for the input shape that it was traced with.

    Parameters
    ----------
    traced
        Is changed; must not be frozen yet.
    network
        The network that was traced.
    """
    for name, module in network.named_modules():
        if isinstance(module, FusedConvolution):
            attrgetter(f"{name}._step")(traced).reorder_weight(module._shape)
