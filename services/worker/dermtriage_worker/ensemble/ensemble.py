"""Score photographs with a release."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from dermtriage.errors import ReleaseInvalid
from dermtriage_worker.ensemble.calibration import calibrated, severe_probability
from dermtriage_worker.ensemble.device import Compute, DeviceOutOfMemory, choose_compute
from dermtriage_worker.ensemble.manifest import MANIFEST_NAME, Manifest, Member, read_manifest
from dermtriage_worker.ensemble.members import ARCHITECTURES
from dermtriage_worker.ensemble.network import Network
from dermtriage_worker.ensemble.preprocessing import prepare
from dermtriage_worker.ensemble.quality import measure_quality


@dataclass(frozen=True)
class Prediction:
    """What a release says of one photograph.

    Attributes
    ----------
    probabilities
        Calibrated probability of each class; they sum to one.
    p_severe
        Sum of the severe classes' probabilities, 0..1.
    members
        Raw logits of each member, averaged over its views, in the order of the classes.
    member_p_severe
        p_severe by each member's own calibrated probabilities.
    disagreement
        Greatest minus smallest of `member_p_severe`, 0..1.
    out_of_scope
        0..1; None where the release does not judge it.
    quality
        Figures of `measure_quality`.
    """

    probabilities: dict[str, float]
    p_severe: float
    members: dict[str, list[float]]
    member_p_severe: dict[str, float]
    disagreement: float
    out_of_scope: float | None
    quality: dict[str, float]


class Ensemble:
    """The members of one release on one device. For one thread at a time.

    Attributes
    ----------
    manifest
        Of the release.
    device
        Where the members lie.
    """

    def __init__(self, manifest: Manifest, networks: Sequence[Network], compute: Compute) -> None:
        self.manifest = manifest
        self.device = compute.device
        self._chunk = compute.chunk
        self._networks = networks

    @classmethod
    def load(cls, folder: Path, device: str = "auto") -> "Ensemble":
        """Verify a release and put its members on a device.

        Parameters
        ----------
        folder
            The release: its manifest and the files that it names, nothing else.
        device
            See `choose_compute`.

        Raises
        ------
        ReleaseInvalid
            If a file is missing, unknown, altered, or does not fit its architecture.
        ConfigurationError
            If there is no such device.
        """
        manifest = read_manifest(folder)
        known = {MANIFEST_NAME, *(member.file for member in manifest.members)}
        unknown = sorted(entry.name for entry in folder.iterdir() if entry.name not in known)
        if unknown:
            raise ReleaseInvalid(
                f"Release {manifest.name} holds what its manifest does not name: {unknown[0]}.",
                remedy=f"Remove it from {folder}, or restore the release.",
            )
        compute = choose_compute(device)
        networks = [load_member(folder, member, manifest, compute) for member in manifest.members]
        return cls(manifest, networks, compute)

    def prepare(self, image: Image.Image) -> Tensor:
        """Prepare an upright photograph as this release wants it: uint8, shape (3, s, s)."""
        return prepare(image, self.manifest.preprocessing.size)

    @torch.inference_mode()
    def predict(self, batch: Sequence[Tensor]) -> list[Prediction]:
        """Score prepared photographs, in their order.

        Parameters
        ----------
        batch
            Squares as `prepare` makes them.

        Raises
        ------
        ValueError
            If a tensor is not a square of this release.
        DeviceOutOfMemory
            If the device has too little memory; none of the batch was scored.
        """
        size = self.manifest.preprocessing.size
        for square in batch:
            if square.dtype != torch.uint8 or square.shape != (3, size, size):
                raise ValueError(
                    f"expected uint8 of shape (3, {size}, {size}), "
                    f"got {square.dtype} of shape {tuple(square.shape)}"
                )
        if not batch:
            return []
        try:
            logits = self._logits(torch.stack(list(batch)))
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise DeviceOutOfMemory(
                f"Device {self.device} ran out of memory over {len(batch)} photographs."
            ) from error
        return self._predictions(logits, batch)

    def _logits(self, squares: Tensor) -> list[Tensor]:
        """Logits of each member, float32 on the CPU, shape (n, 7)."""
        count = len(squares)
        padding = -count % self._chunk
        if padding:
            squares = torch.cat([squares, squares.new_zeros(padding, *squares.shape[1:])])
        if self.device.type == "cuda":
            squares = squares.pin_memory().to(self.device, non_blocking=True)
        # TF32 rounds as coarsely as the half precision that some parts must not have. Every pass
        # is queued before the first result is waited for.
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            passes = [
                torch.stack([network(chunk) for network in self._networks])
                for chunk in torch.split(squares, self._chunk)
            ]
            return list(torch.cat(passes, dim=1)[:, :count].cpu())

    def _predictions(self, logits: list[Tensor], batch: Sequence[Tensor]) -> list[Prediction]:
        manifest = self.manifest
        probabilities, by_member = calibrated(
            [values.double() for values in logits], manifest.members, manifest.calibration
        )
        severe = severe_probability(probabilities).tolist()
        member_severe = [severe_probability(own).tolist() for own in by_member]
        names = [member.name for member in manifest.members]
        predictions = []
        for index, square in enumerate(batch):
            own = {name: values[index] for name, values in zip(names, member_severe, strict=True)}
            predictions.append(
                Prediction(
                    probabilities=dict(
                        zip(manifest.classes, probabilities[index].tolist(), strict=True)
                    ),
                    p_severe=severe[index],
                    members={
                        name: values[index].tolist()
                        for name, values in zip(names, logits, strict=True)
                    },
                    member_p_severe=own,
                    disagreement=max(own.values()) - min(own.values()),
                    out_of_scope=None,
                    quality=measure_quality(square),
                )
            )
        return predictions


def load_member(folder: Path, member: Member, manifest: Manifest, compute: Compute) -> Network:
    """Verify one member's file and load it.

    Raises
    ------
    ReleaseInvalid
        If the file is missing, altered, or does not fit its architecture.
    """
    where = f"File {member.file} of release {manifest.name}"
    remedy = "Restore the release from its source, or build it again."
    try:
        content = (folder / member.file).read_bytes()
    except OSError as error:
        raise ReleaseInvalid(
            f"{where} cannot be read ({error.strerror}).", remedy=remedy
        ) from error
    # The bytes that were verified are the bytes that are loaded: the file is read once.
    if hashlib.sha256(content).hexdigest() != member.sha256:
        raise ReleaseInvalid(
            f"{where} was altered: its SHA-256 is not the one in the manifest.", remedy=remedy
        )
    if member.architecture not in ARCHITECTURES:
        raise ReleaseInvalid(
            f"{where} is of the unknown architecture {member.architecture!r}.",
            remedy="Install the version of dermtriage that the release was made for.",
        )
    try:
        return Network(member, load_safetensors(content), compute)
    except (SafetensorError, RuntimeError) as error:
        raise ReleaseInvalid(
            f"{where} does not fit its architecture {member.architecture}.", remedy=remedy
        ) from error
