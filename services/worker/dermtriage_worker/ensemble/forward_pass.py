"""One forward pass of all members, and batches of photographs as passes of a fixed size."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from dermtriage_worker.ensemble.cpu.traced_pass import TracedPass
from dermtriage_worker.ensemble.device import Compute
from dermtriage_worker.ensemble.image.views import Views
from dermtriage_worker.ensemble.metadata import WIDTH
from dermtriage_worker.ensemble.networks.scoring_network import ScoringNetwork

Forward = Callable[[Tensor, Tensor], tuple[Tensor, ...]]
"""A forward pass: see `ForwardPass.forward`."""


class ForwardPass(nn.Module):
    """From prepared squares to the logits and features of every member.

    Parameters
    ----------
    networks
        The members, at least one.
    """

    def __init__(self, networks: Sequence[ScoringNetwork]) -> None:
        super().__init__()
        self._networks = tuple(networks)
        # As submodules their weights become part of a trace.
        self._members = nn.ModuleList(networks)

    def forward(self, squares: Tensor, patients: Tensor) -> tuple[Tensor, ...]:
        """Score n photographs.

        Parameters
        ----------
        squares
            uint8, shape (n, 3, s, s).
        patients
            Their metadata: see `metadata.encode`.

        Returns
        -------
        tuple
            Logits of all members, shape (m, n, classes); then for each member its features for
            out-of-distribution detection, shape (n, f).
        """
        views = Views(squares)
        results = [network.logits_and_features(views, patients) for network in self._networks]
        return (torch.stack([logits for logits, _ in results]), *(seen for _, seen in results))


def make_forward_pass(networks: Sequence[ScoringNetwork], size: int, compute: Compute) -> Forward:
    """Return a pass over `compute.pass_size` squares of `size` pixels a side; traced on a CPU."""
    forward_pass = ForwardPass(networks).eval()
    if compute.device.type != "cpu":
        return forward_pass
    squares = torch.zeros(compute.pass_size, 3, size, size, dtype=torch.uint8)
    return TracedPass(forward_pass, squares, torch.zeros(compute.pass_size, WIDTH))


def run_forward_passes(
    forward_pass: Forward, squares: Tensor, patients: Tensor, compute: Compute
) -> tuple[list[Tensor], list[Tensor]]:
    """Score any number of photographs in passes of a fixed size.

    Parameters
    ----------
    forward_pass
        As `make_forward_pass` returns it.
    squares
        uint8, shape (n, 3, s, s), on the CPU.
    patients
        Their metadata, shape (n, f).
    compute
        Device and size of a pass; the last pass is padded with zeros.

    Returns
    -------
    tuple
        Logits of each member, shape (n, classes), and features of each member, shape (n, f); all
        on the CPU.
    """
    count = len(squares)
    padding = -count % compute.pass_size
    if padding:
        squares = torch.cat([squares, squares.new_zeros(padding, *squares.shape[1:])])
        patients = torch.cat([patients, patients.new_zeros(padding, *patients.shape[1:])])
    if compute.device.type == "cuda":
        squares = squares.pin_memory().to(compute.device, non_blocking=True)
    patients = patients.to(compute.device)
    # TF32 rounds as coarsely as bfloat16, which some layers must not use. All passes are queued
    # before the first result is copied to the CPU, which waits for the device.
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        passes = [
            forward_pass(part, metadata)
            for part, metadata in zip(
                torch.split(squares, compute.pass_size),
                torch.split(patients, compute.pass_size),
                strict=True,
            )
        ]
        logits, *features = (
            torch.cat(parts, dim=-2)[..., :count, :].cpu() for parts in zip(*passes, strict=True)
        )
        return list(logits), features
