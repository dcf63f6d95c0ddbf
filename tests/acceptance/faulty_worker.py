"""A real worker with a fault: ``python -m tests.acceptance.faulty_worker FAULT``.

``kill``: a blue photograph kills the process, and every other one takes a second longer.
``hang``: the device call for a blue photograph never returns.
``slow_maps``: each heat map takes a second.
"""

import io
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, cast
from uuid import UUID

from PIL import Image
from tests.doubles import EnsembleLoader, WatchedStore
from torch import Tensor

from dermtriage.core.settings import Settings
from dermtriage.database.engine import make_engine, make_sessions
from dermtriage_worker.scoring.celery_app import main
from dermtriage_worker.scoring.runtime import Runtime

_FOREVER = 3600.0


def blue_photograph() -> bytes:
    """Return a photograph that kills or hangs this worker."""
    out = io.BytesIO()
    Image.new("RGB", (160, 120), (20, 40, 220)).save(out, "JPEG")
    return out.getvalue()


def _is_blue(square: Tensor) -> bool:
    red, _, blue = square.float().mean((1, 2)).tolist()
    return bool(blue > red + 100)


def _faulty_runtime(fault: str, settings: Settings) -> Runtime:
    ensembles = EnsembleLoader()
    sessions = make_sessions(make_engine(settings))
    store = cast(WatchedStore, WatchedStore.from_settings(settings, sessions))
    runtime = Runtime(settings, store=store, load=ensembles)

    def predict(real: Callable[..., Any], batch: Sequence[Tensor]) -> Any:
        blue = any(map(_is_blue, batch))
        if blue and fault == "hang":
            time.sleep(_FOREVER)
        if blue and fault == "kill":
            # By then the other thread has leased what there is.
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGSEGV)
        if fault == "kill":
            time.sleep(1)
        return real(batch)

    def before(method: str, _: UUID) -> None:
        if method == "put_heat_map" and fault == "slow_maps":
            time.sleep(1)

    ensembles.predict = predict
    store.before = before
    return runtime


if __name__ == "__main__":
    sys.exit(main(lambda settings: _faulty_runtime(sys.argv[1], settings)))
