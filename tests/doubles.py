"""Real ensembles and stores whose calls a test can observe, replace, or make fail."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from torch import Tensor

from dermtriage.storage.image_store import ImageStore
from dermtriage_worker.ensemble.inference import Ensemble
from dermtriage_worker.ensemble.prediction import Prediction

Predict = Callable[[Callable[[Sequence[Tensor]], list[Prediction]], Sequence[Tensor]], Any]
"""Predicts for a batch; it gets the real prediction first."""


class EnsembleLoader:
    """Loads real releases for a `Runtime`; a test can replace their predictions.

    Attributes
    ----------
    predict
        Predicts in place of the real ensembles, if it is set.
    only
        The release that `predict` stands in for; all of them by default.
    before_load
        Gets the name of each release before it is loaded.
    loaded
        The releases in the order of their loading, each with the thread that loaded it.
    """

    def __init__(self) -> None:
        self.predict: Predict | None = None
        self.only: str | None = None
        self.before_load: Callable[[str], None] = lambda _: None
        self.loaded: list[tuple[str, threading.Thread]] = []

    def __call__(self, folder: Path, device: str) -> Ensemble:
        """Load a release."""
        self.before_load(folder.name)
        ensemble = cast(_Scripted, _Scripted.load(folder, device))
        ensemble.loader = self
        self.loaded.append((folder.name, threading.current_thread()))
        return ensemble


class _Scripted(Ensemble):
    loader: EnsembleLoader

    def predict(self, batch: Sequence[Tensor], inputs: Any = None) -> list[Prediction]:
        script, only = self.loader.predict, self.loader.only
        if script is None or only not in (None, self.manifest.name):
            return super().predict(batch, inputs)
        predictions: list[Prediction] = script(partial(super().predict, inputs=inputs), batch)
        return predictions


class WatchedStore(ImageStore):
    """A real store.

    Attributes
    ----------
    before
        Gets the name of each method and the image before it acts, and may raise.
    """

    before: Callable[[str, UUID], None] = staticmethod(lambda method, image_id: None)

    def get_original(self, image_id: UUID, sha256: bytes) -> bytes:
        """Return an original."""
        self.before("get_original", image_id)
        return super().get_original(image_id, sha256)

    def put_rendition(self, image_id: UUID, data: bytes) -> None:
        """Keep a rendition."""
        self.before("put_rendition", image_id)
        super().put_rendition(image_id, data)

    def get_rendition(self, image_id: UUID) -> bytes:
        """Return a rendition."""
        self.before("get_rendition", image_id)
        return super().get_rendition(image_id)

    def put_heat_map(self, image_id: UUID, release: str, data: bytes) -> None:
        """Keep a heat map."""
        self.before("put_heat_map", image_id)
        super().put_heat_map(image_id, release, data)
