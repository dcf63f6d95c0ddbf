"""What the clinics of the test hold in their hands: each receipt, on disk before it counts."""

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class Received:
    """A case that was acknowledged, and the SHA-256 of each of its photographs by image id."""

    key: str
    case_id: UUID
    photographs: dict[UUID, str]


class Journal:
    """Receipts, each written and fsynced before the sender goes on."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("x")
        self._lock = threading.Lock()
        self._received: list[Received] = []

    def write(self, key: str, receipt: dict[str, Any]) -> None:
        """Keep a receipt."""
        photographs = {UUID(image["image_id"]): image["sha256"] for image in receipt["images"]}
        with self._lock:
            self._file.write(json.dumps({"key": key, **receipt}) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            self._received.append(Received(key, UUID(receipt["case_id"]), photographs))

    def received(self) -> list[Received]:
        """Return all receipts until now."""
        with self._lock:
            return list(self._received)
