"""A forward pass as a frozen TorchScript graph, which runs without Python's interpreter."""

import copy
import threading
import warnings

import torch
from torch import Tensor, nn

from dermtriage_worker.ensemble.cpu.fused_convolution import reorder_weights


class TracedPass:
    """A forward pass, traced for a fixed number of squares.

    A pass is more than a thousand small operations. Run by the interpreter, threads that score
    side by side would wait for Python's lock between any two of them.

    Parameters
    ----------
    forward_pass
        The `ForwardPass` to trace.
    squares, patients
        Example inputs; see `ForwardPass.forward`. Later inputs must have the same shapes.
    """

    def __init__(self, forward_pass: nn.Module, squares: Tensor, patients: Tensor) -> None:
        self._forward_pass = forward_pass
        with torch.no_grad(), warnings.catch_warnings():
            # TorchScript is deprecated; decision 15 says what replaces it, and when.
            warnings.simplefilter("ignore", FutureWarning)
            # The trace holds for this number of photographs only, and no other is ever used.
            warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
            self._traced = torch.jit.trace(forward_pass, (squares, patients), check_trace=False)  # type: ignore[no-untyped-call]
        self._by_threads: dict[int, nn.Module] = {}
        self._lock = threading.Lock()

    def __call__(self, squares: Tensor, patients: Tensor) -> tuple[Tensor, ...]:
        """Score photographs; see `ForwardPass.forward`."""
        # oneDNN's best layout of the weights depends on the number of threads; with the layout
        # for another number, convolutions are several times slower.
        threads = torch.get_num_threads()
        with self._lock:
            if threads not in self._by_threads:
                self._by_threads[threads] = self._frozen()
        results: tuple[Tensor, ...] = self._by_threads[threads](squares, patients)
        return results

    def _frozen(self) -> nn.Module:
        traced = copy.deepcopy(self._traced)
        reorder_weights(traced, self._forward_pass)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            frozen: nn.Module = torch.jit.freeze(traced)
        return frozen
