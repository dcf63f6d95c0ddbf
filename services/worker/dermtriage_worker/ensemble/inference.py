"""Score photographs with a release."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from dermtriage.core.errors import ReleaseInvalid
from dermtriage_worker.ensemble.calibration import calibrated, disagreement, severe_probability
from dermtriage_worker.ensemble.cpu.memory import keep_freed_memory
from dermtriage_worker.ensemble.cpu.passes import make_pass
from dermtriage_worker.ensemble.device import Compute, DeviceOutOfMemory, alone, choose_compute
from dermtriage_worker.ensemble.image.preprocessing import open_for, prepare
from dermtriage_worker.ensemble.image.quality import measure_quality
from dermtriage_worker.ensemble.manifest import MANIFEST_NAME, Manifest, read_manifest
from dermtriage_worker.ensemble.metadata import WIDTH, Inputs, encode, used_inputs
from dermtriage_worker.ensemble.networks.network import Network, load_network
from dermtriage_worker.ensemble.ood import Scope, load_scope


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
        Greatest minus smallest p_severe of the kinds of members, 0..1.
    out_of_scope
        0..1; None where the release does not judge it.
    quality
        Figures of `measure_quality`.
    inputs
        What was known beside the photograph and changed the probabilities.
    """

    probabilities: dict[str, float]
    p_severe: float
    members: dict[str, list[float]]
    member_p_severe: dict[str, float]
    disagreement: float
    out_of_scope: float | None
    quality: dict[str, float]
    inputs: dict[str, str | int | float]


class Ensemble:
    """The members of one release on one device. For one thread at a time.

    Attributes
    ----------
    manifest
        Of the release.
    device
        Where the members lie.
    networks
        The members, in the manifest's order.
    """

    def __init__(
        self,
        manifest: Manifest,
        networks: Sequence[Network],
        compute: Compute,
        scope: Scope | None = None,
    ) -> None:
        self.manifest = manifest
        self.device = compute.device
        self.networks = networks
        self._compute = compute
        self._pass = make_pass(networks, manifest.preprocessing.size, compute)
        self._scope = scope

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
        known = {MANIFEST_NAME, *(ref.file for ref in manifest.files())}
        unknown = sorted(entry.name for entry in folder.iterdir() if entry.name not in known)
        if unknown:
            raise ReleaseInvalid(
                f"Release {manifest.name} holds what its manifest does not name: {unknown[0]}.",
                remedy=f"Remove it from {folder}, or restore the release.",
            )
        if len(manifest.calibration.patient) not in (0, WIDTH):
            raise ReleaseInvalid(
                f"Release {manifest.name} reads metadata that this version does not know.",
                remedy="Install the version of dermtriage that the release was made for.",
            )
        compute = choose_compute(device)
        keep_freed_memory()
        networks = [
            load_network(folder, member, manifest.name, compute) for member in manifest.members
        ]
        return cls(manifest, networks, compute, load_scope(folder, manifest))

    @property
    def at_once(self) -> int:
        """Photographs in a pass: fewer of them cost as much."""
        return self._compute.chunk

    @property
    def reads_metadata(self) -> bool:
        """Whether anything but the photograph counts."""
        by_members = any(network.reads_metadata for network in self.networks)
        return by_members or bool(self.manifest.calibration.patient)

    def prepare(self, image: Image.Image) -> Tensor:
        """Prepare an upright photograph as this release wants it: uint8, shape (3, s, s)."""
        return prepare(image, self.manifest.preprocessing.size)

    def open(self, rendition: bytes) -> Image.Image:
        """Decode a rendition as far as `prepare` needs it.

        Raises
        ------
        ImageRejected
            If the bytes cannot be decoded.
        """
        return open_for(rendition, self.manifest.preprocessing.size)

    def without_sight_of(self, fold: int) -> "Ensemble":
        """Return the ensemble of those members alone that never saw a fold's lesions.

        Raises
        ------
        ReleaseInvalid
            If no member of a kind is of that fold.
        """
        members = self.manifest.members
        chosen = [index for index, member in enumerate(members) if member.fold == fold]
        if {members[i].kind for i in chosen} != {member.kind for member in members}:
            raise ReleaseInvalid(
                f"Release {self.manifest.name} has not a member of each kind for fold {fold}.",
                remedy="Only a release that was trained in folds can be measured out of fold.",
            )
        share = sum(members[index].weight for index in chosen)
        kept = tuple(
            members[index].model_copy(update={"weight": members[index].weight / share})
            for index in chosen
        )
        return Ensemble(
            self.manifest.model_copy(update={"members": kept}),
            [self.networks[index] for index in chosen],
            self._compute,
            self._scope,
        )

    @torch.inference_mode()
    def predict(
        self, batch: Sequence[Tensor], inputs: Sequence[Inputs] | None = None
    ) -> list[Prediction]:
        """Score prepared photographs, in their order.

        Parameters
        ----------
        batch
            Squares as `prepare` makes them.
        inputs
            What is known beside each photograph; see `metadata.FIELDS`. Nothing by default.

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
        inputs = inputs or [{}] * len(batch)
        patients = encode(inputs)
        try:
            logits, taps = self._forward(torch.stack(list(batch)), patients)
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise DeviceOutOfMemory(
                f"Device {self.device} ran out of memory over {len(batch)} photographs."
            ) from error
        with alone():
            quality = measure_quality(batch)
        judged = self._scope.out_of_scope(taps, quality) if self._scope else None
        return self._predictions(logits, patients, quality, judged or [None] * len(batch), inputs)

    def _forward(self, squares: Tensor, patients: Tensor) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Logits of each member, shape (n, 7), and what was tapped of each, all on the CPU."""
        count = len(squares)
        padding = -count % self._compute.chunk
        if padding:
            squares = torch.cat([squares, squares.new_zeros(padding, *squares.shape[1:])])
            patients = torch.cat([patients, patients.new_zeros(padding, *patients.shape[1:])])
        if self.device.type == "cuda":
            squares = squares.pin_memory().to(self.device, non_blocking=True)
        patients = patients.to(self.device)
        # TF32 rounds as coarsely as the half precision that some parts must not have. Every pass
        # is queued before the first result is waited for.
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            passes = [
                self._pass(few, known)
                for few, known in zip(
                    torch.split(squares, self._compute.chunk),
                    torch.split(patients, self._compute.chunk),
                    strict=True,
                )
            ]
            logits, *seen = (
                torch.cat(parts, dim=-2)[..., :count, :].cpu()
                for parts in zip(*passes, strict=True)
            )
            taps = {
                network.member.name: tapped
                for network, tapped in zip(self.networks, seen, strict=True)
            }
            return list(logits), taps

    def _predictions(
        self,
        logits: list[Tensor],
        patients: Tensor,
        quality: Sequence[dict[str, float]],
        out_of_scope: Sequence[float | None],
        inputs: Sequence[Inputs],
    ) -> list[Prediction]:
        manifest = self.manifest
        probabilities, by_member = calibrated(
            [values.double() for values in logits],
            manifest.members,
            manifest.calibration,
            patients,
        )
        severe = severe_probability(probabilities).tolist()
        own_severe = [severe_probability(own) for own in by_member]
        apart = disagreement(own_severe, manifest.members).tolist()
        member_severe = [own.tolist() for own in own_severe]
        names = [member.name for member in manifest.members]
        informed = self.reads_metadata
        predictions = []
        for index, measured in enumerate(quality):
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
                    disagreement=apart[index],
                    out_of_scope=out_of_scope[index],
                    quality=measured,
                    inputs=used_inputs(inputs[index]) if informed else {},
                )
            )
        return predictions
