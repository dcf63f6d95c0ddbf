"""All members over a few photographs in one go, without the interpreter where that pays."""

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dermtriage_worker.ensemble.device import Compute
from dermtriage_worker.ensemble.metadata import WIDTH
from dermtriage_worker.ensemble.network import Network
from dermtriage_worker.ensemble.views import Views


class Pass(nn.Module):
    """From prepared squares to what every member says and sees of them.

    Parameters
    ----------
    networks
        The members, at least one.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        super().__init__()
        self._networks = tuple(networks)
        # Whose the weights are has to be known to record what is done with them.
        self._owners = nn.ModuleList(networks)

    def forward(self, squares: Tensor, patients: Tensor) -> tuple[Tensor, ...]:
        """Score n photographs.

        Parameters
        ----------
        squares
            uint8, shape (n, 3, s, s).
        patients
            What is known beside them: see `metadata.encode`.

        Returns
        -------
        tuple
            Logits of all members, shape (m, n, classes); then of each member in turn what it
            tapped: see `Network.tapped`.
        """
        views = Views(squares)
        said = [network.tapped(views, patients) for network in self._networks]
        return (torch.stack([logits for logits, _ in said]), *(seen for _, seen in said))


def make_pass(networks: Sequence[Network], size: int, compute: Compute) -> nn.Module:
    """Return the pass over `compute.chunk` squares of `size` pixels a side.

    On a CPU it is recorded once, and done again without the interpreter. A photograph takes more
    than a thousand small operations; the interpreter runs one thread at a time, and threads that
    score side by side would wait for each other between any two of them.
    """
    whole = Pass(networks).eval()
    if compute.device.type != "cpu":
        return whole
    squares = torch.zeros(compute.chunk, 3, size, size, dtype=torch.uint8)
    patients = torch.zeros(compute.chunk, WIDTH)
    with torch.no_grad(), warnings.catch_warnings():
        # Its successors need a compiler beside them, or run in the interpreter.
        warnings.simplefilter("ignore", FutureWarning)
        # What is recorded holds for this number of photographs, and there never is another.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        traced = torch.jit.trace(whole, (squares, patients), check_trace=False)  # type: ignore[no-untyped-call]
        frozen: nn.Module = torch.jit.freeze(traced)
    return frozen
