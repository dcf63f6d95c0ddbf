"""All members over a few photographs in one go, without the interpreter where that pays."""

import copy
import threading
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from dermtriage_worker.ensemble.cpu.fused import lay_out_weights
from dermtriage_worker.ensemble.device import Compute
from dermtriage_worker.ensemble.image.views import Views
from dermtriage_worker.ensemble.metadata import WIDTH
from dermtriage_worker.ensemble.networks.network import Network


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


class RecordedPass:
    """A pass over a fixed number of squares, recorded once and done again without the interpreter.

    A photograph takes more than a thousand small operations; the interpreter runs one thread at a
    time, and threads that score side by side would wait for each other between any two of them.
    """

    def __init__(self, whole: Pass, squares: Tensor, patients: Tensor) -> None:
        self._whole = whole
        with torch.no_grad(), warnings.catch_warnings():
            # Its successors need a compiler beside them, or run in the interpreter.
            warnings.simplefilter("ignore", FutureWarning)
            # What is recorded holds for this number of photographs, and there never is another.
            warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
            self._recorded = torch.jit.trace(whole, (squares, patients), check_trace=False)  # type: ignore[no-untyped-call]
        self._by_threads: dict[int, nn.Module] = {}
        self._lock = threading.Lock()

    def __call__(self, squares: Tensor, patients: Tensor) -> tuple[Tensor, ...]:
        """Score photographs; see `Pass.forward`."""
        # Weights that are laid out for another number of threads cost ten times what they save.
        threads = torch.get_num_threads()
        with self._lock:
            if threads not in self._by_threads:
                self._by_threads[threads] = self._laid_out()
        said: tuple[Tensor, ...] = self._by_threads[threads](squares, patients)
        return said

    def _laid_out(self) -> nn.Module:
        recorded = copy.deepcopy(self._recorded)
        lay_out_weights(recorded, self._whole)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            frozen: nn.Module = torch.jit.freeze(recorded)
        return frozen


def make_pass(
    networks: Sequence[Network], size: int, compute: Compute
) -> Callable[[Tensor, Tensor], tuple[Tensor, ...]]:
    """Return the pass over `compute.chunk` squares of `size` pixels a side; on a CPU, recorded."""
    whole = Pass(networks).eval()
    if compute.device.type != "cpu":
        return whole
    squares = torch.zeros(compute.chunk, 3, size, size, dtype=torch.uint8)
    return RecordedPass(whole, squares, torch.zeros(compute.chunk, WIDTH))
