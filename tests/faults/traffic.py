"""Clinics that send and poll, and clinicians who read, for as long as the faults last."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any
from uuid import UUID

import httpx
from tests.acceptance.upload import case_form
from tests.faults.journal import Journal
from tests.photographs import jpeg

SENDERS = 3
RETRIED = {408, 429, 500, 502, 503, 504}
"""Answers after which a sender repeats its request."""


class Traffic:
    """Threads that use the API until they are stopped.

    Parameters
    ----------
    url
        Address of the API.
    key
        A clinic's API key.
    logins
        Username and password of each clinician.
    seed
        Of everything that is chosen at random.

    Attributes
    ----------
    answers
        How often each status was answered; 0 is a connection that broke.
    surprises
        Answers that the API's documentation does not allow.
    """

    def __init__(
        self, url: str, key: str, logins: list[tuple[str, str]], journal: Journal, seed: int
    ) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self.surprises: list[str] = []
        self._url = url
        self._key = key
        self._journal = journal
        self._cursor: str | None = None
        self._polled: set[UUID] = set()
        self._stopping = threading.Event()
        workers: list[Callable[[random.Random], None]] = [self._send] * SENDERS + [self._poll]
        workers += [self._reader(*login) for login in logins]
        self._threads = [
            threading.Thread(
                target=self._until_stopped, args=(work, random.Random(f"{seed} {number}"))
            )
            for number, work in enumerate(workers)
        ]

    def start(self) -> None:
        """Start all threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let every thread finish what it does, and end it."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def client(self) -> httpx.Client:
        """Return a client of the clinic."""
        return self._client(self._key)

    def poll_rest(self) -> set[UUID]:
        """Poll on from where the polls ended, and return all cases that they have shown."""
        with self.client() as client:
            while self._poll_page(client):
                pass
        return self._polled

    def send(self, client: httpx.Client, rng: random.Random, priority: str) -> UUID | None:
        """Send a case until it is received; None if the traffic stops before."""
        key = rng.randbytes(16).hex()
        files = [jpeg(rng.randrange(10**6)) for _ in range(rng.choice((1, 1, 1, 2)))]
        form = case_form(files, priority=priority)
        while True:
            answer = self._request(client, "POST", "/v1/cases", {"Idempotency-Key": key}, form)
            if answer is not None and answer.status_code == 202:
                self._journal.write(key, answer.json())
                return UUID(answer.json()["case_id"])
            if answer is not None and answer.status_code not in RETRIED:
                self.surprises.append(f"POST /v1/cases: {answer.status_code} {answer.text}")
                return None
            if self._stopping.wait(0.2):
                return None

    def _until_stopped(self, work: Callable[[random.Random], None], rng: random.Random) -> None:
        while not self._stopping.is_set():
            try:
                work(rng)
            except Exception as error:  # noqa: BLE001 - the test reports it
                self.surprises.append(repr(error))

    def _send(self, rng: random.Random) -> None:
        with self.client() as client:
            for _ in range(20):
                self.send(client, rng, rng.choice(("routine", "routine", "urgent", "stat")))
                if self._stopping.wait(rng.uniform(0, 0.2)):
                    return

    def _poll(self, rng: random.Random) -> None:
        with self.client() as client:
            while not self._stopping.wait(rng.uniform(0, 0.5)):
                self._poll_page(client)

    def _poll_page(self, client: httpx.Client) -> bool:
        """Read the next page of changes, and return whether there are more."""
        after = f"&cursor={self._cursor}" if self._cursor else ""
        answer = self._request(client, "GET", f"/v1/cases?limit=100{after}")
        if answer is None or not self._is(200, answer):
            return True
        page = answer.json()
        self._cursor = page["next_cursor"]
        self._polled |= {UUID(case["case_id"]) for case in page["items"]}
        return bool(page["has_more"])

    def _reader(self, username: str, password: str) -> Callable[[random.Random], None]:
        def read(rng: random.Random) -> None:
            login = {"username": username, "password": password}
            with self._client("") as client:
                session = self._request(client, "POST", "/v1/sessions", json=login)
                if session is None or not self._is(201, session):
                    self._stopping.wait(0.5)
                    return
                client.headers["Authorization"] = f"Bearer {session.json()['token']}"
                while not self._stopping.wait(rng.uniform(1, 4)):
                    self._read_one(client, rng)

        return read

    def _read_one(self, client: httpx.Client, rng: random.Random) -> None:
        answer = self._request(client, "POST", "/v1/worklist/claims")
        if answer is None or not self._is(201, answer, harmless={204}):
            return
        claim, case = answer.json()["claim"], answer.json()["case"]
        decision = {
            "token": claim["token"],
            "triage_version": case["triage_version"],
            "outcome": rng.choice(("refer_urgent", "refer_routine", "discharge_with_advice")),
        }
        path = f"/v1/cases/{case['case_id']}/decisions"
        made = self._request(client, "POST", path, json=decision)
        if made is not None:
            # 409: the answer to the claim was lost, or the severity rose meanwhile.
            self._is(201, made, harmless={409})

    def _is(self, status: int, answer: httpx.Response, harmless: Collection[int] = ()) -> bool:
        if answer.status_code not in {status, *harmless, *RETRIED}:
            request = answer.request
            self.surprises.append(
                f"{request.method} {request.url.path}: {answer.status_code} {answer.text}"
            )
        return answer.status_code == status

    def _request(
        self,
        client: httpx.Client,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        files: Any = None,
        json: Any = None,
    ) -> httpx.Response | None:
        try:
            answer = client.request(method, path, headers=headers, files=files, json=json)
        except httpx.TransportError:
            self.answers[method, 0] += 1
            time.sleep(0.1)
            return None
        self.answers[method, answer.status_code] += 1
        return answer

    def _client(self, bearer: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        return httpx.Client(base_url=self._url, headers=headers, timeout=15, trust_env=False)
