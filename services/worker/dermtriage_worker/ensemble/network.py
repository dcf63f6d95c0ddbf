"""One member, made fast for inference: batch norm folded, half precision, all views at once."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dermtriage.states import CLASSES
from dermtriage_worker.ensemble.device import Compute
from dermtriage_worker.ensemble.manifest import Member
from dermtriage_worker.ensemble.members import FULL_PRECISION, create_network
from dermtriage_worker.ensemble.preprocessing import normalise
from dermtriage_worker.ensemble.views import dihedral_view


class Network:
    """A member of a release on a device.

    Parameters
    ----------
    member
        Its entry in the manifest.
    state
        Its weights, in any precision.
    compute
        Where and in which numbers to compute.

    Raises
    ------
    RuntimeError
        If the weights do not fit the architecture.
    """

    def __init__(self, member: Member, state: Mapping[str, Tensor], compute: Compute) -> None:
        network = create_network(member.architecture, len(CLASSES)).eval()
        network.load_state_dict({name: value.float() for name, value in state.items()})
        _fold_batch_norms(network)
        self._member = member
        self._compute = compute
        _lower_precision(network, compute.dtype, FULL_PRECISION[member.architecture])
        self._network = network.to(compute.device).to(memory_format=torch.channels_last)

    def __call__(self, squares: Tensor) -> Tensor:
        """Logits of prepared squares on the device, averaged over the views.

        Parameters
        ----------
        squares
            uint8, shape (n, 3, s, s).

        Returns
        -------
        Tensor
            float32, shape (n, classes).
        """
        member = self._member
        upright = normalise(squares, member.input_size, member.mean, member.std)
        views = torch.cat([dihedral_view(upright, index) for index in range(member.views)])
        logits: Tensor = self._network(views.contiguous(memory_format=torch.channels_last))
        return logits.view(member.views, len(squares), -1).mean(0)


def _lower_precision(network: nn.Module, dtype: torch.dtype, full: tuple[str, ...]) -> None:
    """Let convolutions compute in `dtype`, but those in parts that need full precision.

    Autocast would lower all of them, the head too, and logits in half precision come in steps
    that move a probability by some 1e-3.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            if isinstance(module, nn.Conv2d) and not name.startswith(full):
                module.to(dtype)
            module.register_forward_pre_hook(_cast_input)


def _cast_input(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    dtype = module.get_parameter("weight").dtype
    return tuple(value.to(dtype) for value in inputs)


def _fold_batch_norms(network: nn.Module) -> None:
    """Fold every batch norm that follows a convolution in a sequence into its weights."""
    for sequence in [m for m in network.modules() if isinstance(m, nn.Sequential)]:
        for index in range(1, len(sequence)):
            before, norm = sequence[index - 1], sequence[index]
            if isinstance(before, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                sequence[index - 1] = fuse_conv_bn_eval(before, norm)
                sequence[index] = nn.Identity()
