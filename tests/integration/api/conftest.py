"""The API under uvicorn, with real servers."""

import json
import socket
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import redis
import uvicorn
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker
from tests.photographs import sha256

from dermtriage.accounts.clinicians import add_clinician
from dermtriage.accounts.clinics import add_clinic
from dermtriage.core.settings import Settings
from dermtriage.messaging.tasks import UPLOADS
from dermtriage.models import AuditEntry, Case, Image, IntakeRequest, PendingImage, TriageEvent
from dermtriage.storage.identity import MARKER
from dermtriage_api.app import create_app
from dermtriage_api.server.protocol import BoundedHttpProtocol

PASSWORD = "four random words here"


@dataclass(frozen=True)
class Served:
    """A running API, and a clinic that may use it."""

    url: str
    port: int
    settings: Settings
    sessions: sessionmaker[Session]
    clinic_key: str

    def client(self, token: str | None = None) -> httpx.Client:
        """Return a client that sends this API key or session token."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=20)

    def send(
        self,
        *files: bytes,
        token: str | None = None,
        key: str | None = None,
        images: Sequence[dict[str, Any]] | None = None,
        **metadata: Any,
    ) -> httpx.Response:
        """Send a case of these files, with the key of the clinic by default."""
        described = images or [{"sha256": sha256(data)} for data in files]
        with self.client(token or self.clinic_key) as client:
            return client.post(
                "/v1/cases",
                headers={"Idempotency-Key": key or str(uuid4())},
                data={"metadata": json.dumps({"images": described, **metadata})},
                files=[("images", ("photo.jpg", data, "image/jpeg")) for data in files],
            )

    def left_behind(self) -> dict[str, int]:
        """Count the rows of each table that uploads write, and the files in the store."""
        with self.sessions() as session:
            counts = {
                model.__tablename__: session.scalar(select(func.count()).select_from(model)) or 0
                for model in (Case, Image, IntakeRequest, PendingImage, TriageEvent)
            }
            about_cases = select(func.count()).where(AuditEntry.case_id.is_not(None))
            counts["audit_log"] = session.scalar(about_cases) or 0
        return counts | {"files": len(self.stored())}

    def stored(self) -> set[str]:
        """Return the keys of everything in the store but its marker."""
        folder = Path(self.settings.store_url.removeprefix("file://"))
        files = (path for path in folder.rglob("*") if path.is_file() and path.name != MARKER)
        # The server checks now and then whether it can write into the store.
        return {str(path.relative_to(folder)) for path in files if path.parent.name != "checks"}


@dataclass(frozen=True)
class Queue:
    """The queue of uploads."""

    client: redis.Redis

    def take(self, count: int) -> set[str]:
        """Take a number of messages and return the ids of their images."""
        images = set()
        for _ in range(count):
            taken = self.client.blpop([UPLOADS], timeout=10)
            assert taken is not None
            (image_id,), _, _ = json.loads(b64decode(json.loads(taken[1])["body"]))
            images.add(image_id)
        return images


@contextmanager
def serve(settings: Settings) -> Iterator[int]:
    """Run the API and yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            create_app(settings), log_config=None, http=BoundedHttpProtocol, ws="none"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the API did not start"
            time.sleep(0.02)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)


@pytest.fixture
def serve_with(
    settings: Settings, sessions: sessionmaker[Session]
) -> Iterator[Callable[..., Served]]:
    """A function that starts the API with some settings changed."""
    with ExitStack() as stack:

        def start(**changes: Any) -> Served:
            changed = settings.model_copy(update=changes)
            port = stack.enter_context(serve(changed))
            with sessions.begin() as session:
                secret_key = settings.secret_key.get_secret_value()
                _, key = add_clinic(session, name="Aldea Norte", secret_key=secret_key)
            return Served(f"http://127.0.0.1:{port}", port, settings, sessions, key)

        yield start


@pytest.fixture
def api(serve_with: Callable[..., Served]) -> Served:
    return serve_with()


@pytest.fixture
def clinic(api: Served) -> Iterator[httpx.Client]:
    with api.client(api.clinic_key) as client:
        yield client


@pytest.fixture
def other_clinic(api: Served) -> Iterator[httpx.Client]:
    with api.sessions.begin() as session:
        secret_key = api.settings.secret_key.get_secret_value()
        _, key = add_clinic(session, name="Costa Sur", secret_key=secret_key)
    with api.client(key) as client:
        yield client


@pytest.fixture
def queue(settings: Settings) -> Iterator["Queue"]:
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        client.delete(UPLOADS)
        yield Queue(client)


@pytest.fixture
def clinician(api: Served) -> Iterator[httpx.Client]:
    with api.client(log_in(api, "m.okafor")) as client:
        yield client


@pytest.fixture
def colleague(api: Served) -> Iterator[httpx.Client]:
    with api.client(log_in(api, "j.silva")) as client:
        yield client


def unready(client: httpx.Client) -> httpx.Response:
    """Return what `/readyz` answers as soon as it knows that the server is not ready.

    It waits for its checks for a moment only, and a loaded machine takes longer.
    """
    deadline = time.monotonic() + 10
    while (answer := client.get("/readyz")).status_code == 200:
        assert time.monotonic() < deadline, "the server stays ready"
        time.sleep(0.1)
    return answer


def log_in(api: Served, username: str) -> str:
    """Add a clinician and return the token of a session."""
    with api.sessions.begin() as session:
        add_clinician(session, username=username, display_name=username.title(), password=PASSWORD)
    with api.client() as client:
        answer = client.post("/v1/sessions", json={"username": username, "password": PASSWORD})
    assert answer.status_code == 201
    token: str = answer.json()["token"]
    return token
