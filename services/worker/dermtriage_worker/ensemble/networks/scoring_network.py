"""One member, ready to score: batch norms folded, mixed precision, all views in one batch."""

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
from dermtriage_worker.ensemble.cpu.fused_convolution import fuse_convolutions
from dermtriage_worker.ensemble.device import Compute
from dermtriage_worker.ensemble.image.views import Views
from dermtriage_worker.ensemble.manifest import Member
from dermtriage_worker.ensemble.networks.registry import (
    FULL_PRECISION,
    TAPS,
    create_network,
    is_architecture,
    patient_branch,
)
from dermtriage_worker.ensemble.packing import read_verified


class ScoringNetwork(nn.Module):
    """A member of a release on a device, with batch norms folded and in mixed precision.

    Parameters
    ----------
    member
        Its entry in the manifest; kept as an attribute.
    state
        Its weights, in any precision.
    compute
        Device, precision and layout.

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
        # Heat maps differentiate by the input, nothing differentiates by the weights.
        network.requires_grad_(False)
        self._network = network.to(compute.device).to(memory_format=torch.channels_last)
        self._patient = patient_branch(network)
        scoring = self._network
        if compute.fused:
            scoring = fuse_convolutions(network)
        self._tapped = _TappedNetwork(scoring, TAPS.get(member.architecture, ()))

    @property
    def reads_metadata(self) -> bool:
        """Whether it reads the patient's metadata beside the photograph."""
        return self._patient is not None

    def metadata_logits(self, patients: Tensor) -> Tensor:
        """Return what the metadata adds to the logits: float32, shape (n, classes)."""
        if self._patient is None:
            return patients.new_zeros(len(patients), len(CLASSES))
        added: Tensor = self._patient(patients)
        return added

    def logits_and_features(self, views: Views, patients: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits, and the features that out-of-distribution detection reads.

        Parameters
        ----------
        views
            n photographs.
        patients
            Their metadata: see `metadata.encode`.

        Returns
        -------
        tuple
            Logits averaged over the member's views, float32, shape (n, classes); and of the
            upright view the mean and standard deviation of each channel of each stage in
            `registry.TAPS`, float32, shape (n, f); f is 0 where the architecture has no taps.
        """
        count = len(views)
        by_view, *stages = self._tapped(views.batch_for(self.member, self.member.views))
        logits = by_view.view(self.member.views, count, -1).mean(0)
        maps = [stage[:count].float().flatten(2) for stage in stages]
        pooled = [figure for each in maps for figure in (each.mean(2), each.std(2))]
        features = torch.cat([logits.new_zeros(count, 0), *pooled], dim=1)
        return logits + self.metadata_logits(patients), features

    def logits_by_view(self, squares: Tensor, views: int) -> Tensor:
        """Compute logits of the first `views` dihedral views, by the photographs alone.

        Parameters
        ----------
        squares
            Prepared photographs, uint8 or float in 0..255, shape (n, 3, s, s). The result can be
            differentiated by float squares.

        Returns
        -------
        Tensor
            float32, shape (views, n, classes).
        """
        logits: Tensor = self._network(Views(squares).batch_for(self.member, views))
        return logits.view(views, len(squares), -1)


def load_network(folder: Path, member: Member, release: str, compute: Compute) -> ScoringNetwork:
    """Verify one member's file and load it.

    Raises
    ------
    ReleaseInvalid
        If the file is missing, altered, does not fit its architecture, or holds NaN or infinity.
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
        network = ScoringNetwork(member, load_safetensors(content), compute)
    except (SafetensorError, RuntimeError) as error:
        raise ReleaseInvalid(
            f"{where} does not fit its architecture {member.architecture}.", remedy=remedy
        ) from error
    # A fused activation clamps NaN into its bounds, so the score would look valid.
    if not all(weight.isfinite().all() for weight in network.parameters()):
        raise ReleaseInvalid(f"{where} holds weights that are NaN or infinite.", remedy=remedy)
    return network


class _TappedNetwork(nn.Module):
    """A network that returns its logits and the feature maps of some middle stages."""

    def __init__(self, network: nn.Module, stages: tuple[str, ...]) -> None:
        super().__init__()
        self._network = network
        # Several threads may share a network; each collects its own feature maps.
        self._collected = threading.local()
        for stage in stages:
            network.get_submodule(stage).register_forward_hook(self._collect)

    def forward(self, batch: Tensor) -> tuple[Tensor, ...]:
        self._collected.maps = []
        try:
            return (self._network(batch), *self._collected.maps)
        finally:
            self._collected.maps = None

    def _collect(self, _stage: nn.Module, _inputs: tuple[Tensor, ...], maps: Tensor) -> None:
        collected = getattr(self._collected, "maps", None)
        if collected is not None:
            collected.append(maps)


def _lower_precision(network: nn.Module, dtype: torch.dtype, full: tuple[str, ...]) -> None:
    """Convert convolutions to `dtype`, except those whose name has a prefix in `full`.

    Autocast would convert all of them and the classifier too; logits in half precision are so
    coarse that a probability moves by about 1e-3.
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
    """Fold each batch norm into the convolution that precedes it in a sequence."""
    for sequence in [m for m in network.modules() if isinstance(m, nn.Sequential)]:
        for index in range(1, len(sequence)):
            before, norm = sequence[index - 1], sequence[index]
            if isinstance(before, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                sequence[index - 1] = fuse_conv_bn_eval(before, norm)
                sequence[index] = nn.Identity()
