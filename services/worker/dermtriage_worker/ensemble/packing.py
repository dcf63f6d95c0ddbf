"""Write the weights and tensors of a release, and read its files with their digest verified."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from dermtriage.core.errors import ReleaseInvalid
from dermtriage_worker.ensemble.manifest import FileRef


def pack_member(folder: Path, file: str, state: Mapping[str, Tensor]) -> FileRef:
    """Write a network's weights into a release's folder, in half precision.

    Batch norms and biases stay in float32: they are few, and small variances would vanish.
    """
    halved = {n: (v.to(torch.float16) if v.ndim > 1 else v) for n, v in state.items()}
    return pack_tensors(folder, file, halved)


def pack_tensors(folder: Path, file: str, tensors: Mapping[str, Tensor]) -> FileRef:
    """Write tensors into a release's folder as they are; return the manifest's entry."""
    content = save({name: value.contiguous().cpu() for name, value in tensors.items()})
    (folder / file).write_bytes(content)
    return FileRef(file=file, sha256=hashlib.sha256(content).hexdigest())


def read_verified(folder: Path, ref: FileRef, release: str) -> bytes:
    """Read a file of a release, and verify its bytes against the SHA-256 in the manifest.

    Raises
    ------
    ReleaseInvalid
        If the file is missing or altered.
    """
    where = f"File {ref.file} of release {release}"
    remedy = "Restore the release from its source, or build it again."
    try:
        content = (folder / ref.file).read_bytes()
    except OSError as error:
        raise ReleaseInvalid(
            f"{where} cannot be read ({error.strerror}).", remedy=remedy
        ) from error
    if hashlib.sha256(content).hexdigest() != ref.sha256:
        raise ReleaseInvalid(
            f"{where} was altered: its SHA-256 is not the one in the manifest.", remedy=remedy
        )
    return content
