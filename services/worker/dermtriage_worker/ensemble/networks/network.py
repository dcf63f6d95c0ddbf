"""One member, made fast: batch norm folded, half precision, all views at once."""

import threading
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dermtriage.core.enums import CLASSES
from dermtriage.core.errors import ReleaseInvalid
from dermtriage_worker.ensemble.cpu.apart import apart
from dermtriage_worker.ensemble.cpu.fused import can_fuse, fused
from dermtriage_worker.ensemble.device import Compute
from dermtriage_worker.ensemble.image.views import Views
from dermtriage_worker.ensemble.manifest import Member
from dermtriage_worker.ensemble.networks.members import (
    FULL_PRECISION,
    LARGE_MAPS,
    TAPS,
    create_network,
    is_architecture,
    patient_branch,
)
from dermtriage_worker.ensemble.packing import read_verified


class Network(nn.Module):
    """A member of a release on a device.

    Parameters
    ----------
    member
        Its entry in the manifest; kept as an attribute.
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
        super().__init__()
        network = create_network(member.architecture, len(CLASSES)).eval()
        network.load_state_dict({name: value.float() for name, value in state.items()})
        _fold_batch_norms(network)
        self.member = member
        _lower_precision(network, compute.dtype, FULL_PRECISION.get(member.architecture, ("",)))
        # Explanations ask for gradients, but never for those of weights.
        network.requires_grad_(False)
        self._network = network.to(compute.device).to(memory_format=torch.channels_last)
        self._patient = patient_branch(network)
        scoring = self._network
        if can_fuse(compute.device, compute.dtype):
            scoring = apart(fused(self._network), LARGE_MAPS.get(member.architecture, 0))
        self._staged = _Staged(scoring, TAPS.get(member.architecture, ()))

    @property
    def reads_metadata(self) -> bool:
        """Whether it takes more than the photograph."""
        return self._patient is not None

    def of_patients(self, patients: Tensor) -> Tensor:
        """Return what the metadata adds to the logits: float32, shape (n, classes)."""
        if self._patient is None:
            return patients.new_zeros(len(patients), len(CLASSES))
        added: Tensor = self._patient(patients)
        return added

    def tapped(self, squares: Views, patients: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits, and what the middle stages see of the upright view.

        Parameters
        ----------
        squares
            n photographs.
        patients
            What is known beside them: see `metadata.encode`.

        Returns
        -------
        tuple
            Logits averaged over the member's views, float32, shape (n, classes); and mean and
            deviation of each channel of each stage in `members.TAPS`: float32, shape (n, f); f
            is 0 where there are none.
        """
        count = len(squares)
        said, *stages = self._staged(squares.laid(self.member, self.member.views))
        logits = said.view(self.member.views, count, -1).mean(0) + self.of_patients(patients)
        maps = [stage[:count].float().flatten(2) for stage in stages]
        pooled = [figure for each in maps for figure in (each.mean(2), each.std(2))]
        return logits, torch.cat([logits.new_zeros(count, 0), *pooled], dim=1)

    def by_view(self, squares: Tensor, views: int) -> Tensor:
        """Logits of the first `views` dihedral views: float32, shape (views, n, classes).

        By the photographs alone; may be differentiated, also by squares of floats.
        """
        logits: Tensor = self._network(Views(squares).laid(self.member, views))
        return logits.view(views, len(squares), -1)


def load_network(folder: Path, member: Member, release: str, compute: Compute) -> Network:
    """Verify one member's file and load it.

    Raises
    ------
    ReleaseInvalid
        If the file is missing, altered, does not fit its architecture, or holds what is no number.
    """
    # The bytes that were verified are the bytes that are loaded: the file is read once.
    content = read_verified(folder, member, release)
    where = f"File {member.file} of release {release}"
    if not is_architecture(member.architecture):
        raise ReleaseInvalid(
            f"{where} is of the unknown architecture {member.architecture!r}.",
            remedy="Install the version of dermtriage that the release was made for.",
        )
    remedy = "Restore the release from its source, or build it again."
    try:
        network = Network(member, load_safetensors(content), compute)
    except (SafetensorError, RuntimeError) as error:
        raise ReleaseInvalid(
            f"{where} does not fit its architecture {member.architecture}.", remedy=remedy
        ) from error
    # Fused activations bring what is no number within their bounds: the score would look sound.
    if not all(weight.isfinite().all() for weight in network.parameters()):
        raise ReleaseInvalid(f"{where} holds weights that are no numbers.", remedy=remedy)
    return network


class _Staged(nn.Module):
    """A network that hands out its logits and what its middle stages saw."""

    def __init__(self, network: nn.Module, stages: tuple[str, ...]) -> None:
        super().__init__()
        self._network = network
        # Threads may share a network, and each keeps what it tapped for itself.
        self._kept = threading.local()
        for stage in stages:
            network.get_submodule(stage).register_forward_hook(self._keep)

    def forward(self, batch: Tensor) -> tuple[Tensor, ...]:
        self._kept.maps = []
        try:
            return (self._network(batch), *self._kept.maps)
        finally:
            self._kept.maps = None

    def _keep(self, _stage: nn.Module, _inputs: tuple[Tensor, ...], maps: Tensor) -> None:
        kept = getattr(self._kept, "maps", None)
        if kept is not None:
            kept.append(maps)


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
