"""Device, precision and size of a forward pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from dermtriage.core.errors import ConfigurationError, DermtriageError
from dermtriage_worker.ensemble.cpu.fused_convolution import can_fuse


class DeviceOutOfMemory(DermtriageError):
    """The device has too little free memory for this batch."""

    code = "device_out_of_memory"
    remedy = "Score fewer photographs at once, or free memory on the device."


class DeviceLost(DermtriageError):
    """The device stopped responding; only a new process can use it again."""

    code = "device_lost"
    remedy = "None needed: the worker restarts by itself."


@dataclass(frozen=True)
class Compute:
    """How the members compute on one device.

    Attributes
    ----------
    device
        Where.
    dtype
        Precision of those convolutions that tolerate it; see `registry.FULL_PRECISION`.
    pass_size
        Photographs in every forward pass. The number is fixed, so the device always runs the same
        kernels, and the scores of a photograph cannot depend on its neighbours in a batch.
    fused
        Whether convolutions are fused with their activations; see `cpu.fused_convolution`.
    """

    device: torch.device
    dtype: torch.dtype
    pass_size: int
    fused: bool = False


@contextmanager
def single_threaded() -> Iterator[None]:
    """Let torch use the calling thread alone.

    On small pictures more threads cost more than they gain. On a busy machine each operation
    waits until all of them were scheduled, which takes up to a hundred times as long.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def choose_compute(name: str = "auto") -> Compute:
    """Choose how to compute on a device by name.

    Parameters
    ----------
    name
        `auto` (CUDA if available, else the CPU), `cpu`, `cuda` or `cuda:N`.

    Raises
    ------
    ConfigurationError
        If there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigurationError(
            f"{name!r} is not a device name.", remedy="Use auto, cpu, cuda or cuda:N."
        ) from error
    if device.type == "cuda":
        if (device.index or 0) >= torch.cuda.device_count():
            raise ConfigurationError(
                f"There is no device {name}; torch finds {torch.cuda.device_count()} CUDA devices.",
                remedy="Use another device, or `auto`.",
            )
        return Compute(device, torch.bfloat16, pass_size=16)
    if device.type != "cpu":
        raise ConfigurationError(
            f"Device {name!r} is not supported.", remedy="Use auto, cpu, cuda or cuda:N."
        )
    dtype = _cpu_dtype()
    # Two photographs share the fixed cost of a pass and each load of its weights into the caches.
    # Larger passes gain little more, and a photograph that comes alone pays for a whole pass.
    return Compute(device, dtype, pass_size=2, fused=can_fuse(device, dtype))


def _cpu_dtype() -> torch.dtype:
    """Return bfloat16 if the CPU multiplies it natively; emulated, it is slower than float32."""
    capabilities = torch.cpu.get_capabilities()
    native = ("avx512_bf16", "amx_bf16", "bf16")
    return torch.bfloat16 if any(capabilities.get(flag) for flag in native) else torch.float32
