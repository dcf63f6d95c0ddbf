"""Where an ensemble computes, in which numbers, and how much at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from dermtriage.core.errors import ConfigurationError, DermtriageError


class DeviceOutOfMemory(DermtriageError):
    """The device has too little free memory for this batch."""

    code = "device_out_of_memory"
    remedy = "Score fewer photographs at once, or free memory on the device."


class DeviceLost(DermtriageError):
    """The device does not answer any more; only a new process can use it again."""

    code = "device_lost"
    remedy = "The worker starts anew."


@dataclass(frozen=True)
class Compute:
    """How the members compute on one device.

    Attributes
    ----------
    device
        Where.
    dtype
        Numbers inside the networks, where these bear it; see `members.FULL_PRECISION`.
    chunk
        Photographs in every forward pass. The number never varies, so the device always runs
        the same kernels, and a photograph's figures cannot depend on its neighbours.
    """

    device: torch.device
    dtype: torch.dtype
    chunk: int


@contextmanager
def alone() -> Iterator[None]:
    """Let the calling thread compute without torch's other threads.

    Over a small picture they cost more than they help, and on a busy machine each operation waits
    until all of them have had a turn: a hundred times as long as the operation takes.
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
        `auto` (CUDA where there is one, else the CPU), `cpu`, `cuda` or `cuda:N`.

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
            f"{name!r} is no device name.", remedy="Use auto, cpu, cuda or cuda:N."
        ) from error
    if device.type == "cuda":
        if (device.index or 0) >= torch.cuda.device_count():
            raise ConfigurationError(
                f"There is no device {name}; torch sees {torch.cuda.device_count()} CUDA devices.",
                remedy="Use another device, or `auto` to take what there is.",
            )
        return Compute(device, torch.bfloat16, chunk=16)
    if device.type != "cpu":
        raise ConfigurationError(
            f"Device {name!r} is not supported.", remedy="Use auto, cpu, cuda or cuda:N."
        )
    # Two photographs share what a pass costs beside computing, and the way of its weights into the
    # caches. Larger passes gain little more, and a photograph that comes alone pays for all.
    return Compute(device, _cpu_dtype(), chunk=2)


def _cpu_dtype() -> torch.dtype:
    """bfloat16 where the CPU multiplies it natively; elsewhere it is emulated, and slow."""
    capabilities = torch.cpu.get_capabilities()
    native = ("avx512_bf16", "amx_bf16", "bf16")
    return torch.bfloat16 if any(capabilities.get(flag) for flag in native) else torch.float32
