"""Write members' weights into a release."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor


def pack_member(folder: Path, file: str, state: Mapping[str, Tensor]) -> str:
    """Write a network's weights into a release's folder, in half precision.

    Batch norms and biases stay in float32: they are few, and small variances would vanish.

    Returns
    -------
    str
        SHA-256 of the file in hexadecimal, for the manifest.
    """
    content = save(
        {
            name: (value.to(torch.float16) if value.ndim > 1 else value).contiguous().cpu()
            for name, value in state.items()
        }
    )
    (folder / file).write_bytes(content)
    return hashlib.sha256(content).hexdigest()
