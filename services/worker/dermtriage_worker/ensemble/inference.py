"""Load a release, and score photographs with it."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from dermtriage.core.errors import ReleaseInvalid
from dermtriage_worker.ensemble.device import (
    Compute,
    DeviceOutOfMemory,
    choose_compute,
    single_threaded,
)
from dermtriage_worker.ensemble.forward_pass import Forward, make_forward_pass, run_forward_passes
from dermtriage_worker.ensemble.image.preprocessing import decode_for, prepare
from dermtriage_worker.ensemble.image.quality import measure_quality
from dermtriage_worker.ensemble.manifest import Manifest
from dermtriage_worker.ensemble.manifest_file import read_manifest, refuse_unknown_files
from dermtriage_worker.ensemble.metadata import WIDTH, Inputs, encode, used_inputs
from dermtriage_worker.ensemble.networks.scoring_network import ScoringNetwork, load_network
from dermtriage_worker.ensemble.ood import OodDetector, load_ood_detector
from dermtriage_worker.ensemble.prediction import Prediction, make_predictions


class Ensemble:
    """The members of one release on one device. Not thread-safe.

    Parameters
    ----------
    manifest
        Of the release.
    networks
        The members, in the manifest's order.
    compute
        Device, precision and size of a pass.
    ood_detector
        None if the release has none.
    forward_pass
        Runs the members; by default the result of `make_forward_pass`.

    Attributes
    ----------
    manifest, networks
        As given.
    device
        Device of the members.
    """

    def __init__(
        self,
        manifest: Manifest,
        networks: Sequence[ScoringNetwork],
        compute: Compute,
        ood_detector: OodDetector | None = None,
        *,
        forward_pass: Forward | None = None,
    ) -> None:
        self.manifest = manifest
        self.device = compute.device
        self.networks = networks
        self._compute = compute
        self._forward_pass = forward_pass or make_forward_pass(
            networks, manifest.preprocessing.size, compute
        )
        self._ood_detector = ood_detector

    @classmethod
    def load(cls, folder: Path, device: str = "auto") -> "Ensemble":
        """Verify a release and put its members on a device.

        Parameters
        ----------
        folder
            The release: its manifest and the files that it names, and no other file.
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
        refuse_unknown_files(folder, manifest)
        if len(manifest.calibration.patient) not in (0, WIDTH):
            raise ReleaseInvalid(
                f"Release {manifest.name} reads metadata that this version does not know.",
                remedy="Install the version of dermtriage that the release was made for.",
            )
        compute = choose_compute(device)
        networks = [
            load_network(folder, member, manifest.name, compute) for member in manifest.members
        ]
        return cls(manifest, networks, compute, load_ood_detector(folder, manifest))

    @property
    def pass_size(self) -> int:
        """Number of photographs in a forward pass; one with fewer takes as long."""
        return self._compute.pass_size

    @property
    def reads_metadata(self) -> bool:
        """Whether metadata changes the probabilities."""
        by_members = any(network.reads_metadata for network in self.networks)
        return by_members or bool(self.manifest.calibration.patient)

    def decode(self, rendition: bytes) -> Image.Image:
        """Decode a rendition at the resolution that `prepare` needs.

        Raises
        ------
        ImageRejected
            If the bytes cannot be decoded.
        """
        return decode_for(rendition, self.manifest.preprocessing.size)

    def prepare(self, image: Image.Image) -> Tensor:
        """Prepare an upright picture for this release: uint8, shape (3, s, s)."""
        return prepare(image, self.manifest.preprocessing.size)

    def out_of_fold(self, fold: int) -> "Ensemble":
        """Return the ensemble of the members that were not trained on a fold.

        Raises
        ------
        ReleaseInvalid
            If the release does not have such a member of every kind.
        """
        members = self.manifest.members
        chosen = [index for index, member in enumerate(members) if member.fold == fold]
        if {members[i].kind for i in chosen} != {member.kind for member in members}:
            raise ReleaseInvalid(
                f"Release {self.manifest.name} lacks a member of some kind for fold {fold}.",
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
            self._ood_detector,
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
            Metadata of each photograph; see `metadata.FIELDS`. None by default.

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
            logits, features = run_forward_passes(
                self._forward_pass, torch.stack(list(batch)), patients, self._compute
            )
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise DeviceOutOfMemory(
                f"Device {self.device} ran out of memory over {len(batch)} photographs."
            ) from error
        with single_threaded():
            quality = measure_quality(batch)
        return make_predictions(
            self.manifest,
            logits,
            patients,
            quality=quality,
            out_of_scope=self._ood_scores(features, quality) or [None] * len(batch),
            inputs=[used_inputs(one) if self.reads_metadata else {} for one in inputs],
        )

    def _ood_scores(
        self, features: Sequence[Tensor], quality: Sequence[dict[str, float]]
    ) -> list[float] | None:
        if self._ood_detector is None:
            return None
        names = [member.name for member in self.manifest.members]
        return self._ood_detector.scores(dict(zip(names, features, strict=True)), quality)
