"""What the server itself refuses of a connection, before there is a request.

uvicorn with httptools bounds neither the head of a request nor the requests that a client sends
before it has read the answers, and it waits for a head for ever. h11 bounds both, but parses in
Python: decision 22 has the figures.
"""

import asyncio
from contextlib import suppress
from http import HTTPStatus
from socket import IPPROTO_TCP, TCP_NODELAY
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dermtriage_api.http.safe_headers import SAFE_HEADERS

MAX_HEAD_BYTES = 32 * 1024
"""Of the request's target and its headers together. Ours are below 1 KiB."""

MAX_HEADERS = 100

MAX_PIPELINED = 16
"""Requests that may wait on one connection for the answer to an earlier one."""

HEAD_TIMEOUT = 30.0
"""Seconds in which the head of a request must arrive, after the connection or its first byte."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection, with limits on heads and on requests that wait for their turn."""

    head_timeout = HEAD_TIMEOUT

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._in_head = True
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._refusal = HTTPStatus.BAD_REQUEST

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head: called by the event loop."""
        super().connection_made(transport)
        # asyncio sets this for sockets that it has opened, and uvicorn takes an inherited one for a
        # Unix socket: a response in two parts would wait 40 ms for the client's acknowledgement.
        with suppress(OSError):
            transport.get_extra_info("socket").setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection: called by the event loop."""
        self._stop_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived: called by the event loop."""
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if not self._in_head or not self._head_bytes or self.transport.is_closing():
            return
        if self._head_bytes > MAX_HEAD_BYTES:
            # The parser keeps what has arrived of a header to itself until all of it has.
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self.send_400_response("The head of the request is too large.")
        elif self._head_timer is None:
            self._start_head_timer()

    def on_headers_complete(self) -> None:
        """Accept or refuse the head of a request: called by the parser."""
        self._in_head, self._head_bytes = False, 0
        self._stop_head_timer()
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADERS:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise httptools.HttpParserError("the head of the request is too large")
        if len(self.pipeline) >= MAX_PIPELINED:
            raise httptools.HttpParserError("too many requests wait for their turn")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Expect the next head: called by the parser."""
        super().on_message_complete()
        self._in_head = True

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed and close the connection."""
        if self.cycle is not None and not self.cycle.response_complete:
            # The client would take the refusal for the answer that is still due. What it has not
            # read of earlier ones is not waited for.
            self.transport.abort()
            return
        headers = {
            **SAFE_HEADERS,
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Length": str(len(msg)),
            "Connection": "close",
        }
        lines = [f"HTTP/1.1 {self._refusal.value} {self._refusal.phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.transport.write(("\r\n".join(lines) + "\r\n\r\n" + msg).encode("ascii"))
        self.transport.close()

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(self.head_timeout, self._give_up_on_head)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up_on_head(self) -> None:
        self._head_timer = None
        if self.cycle is not None and not self.cycle.response_complete:
            # An earlier request is still being answered; uvicorn's timer for idle connections
            # starts after it.
            return
        self.transport.close()
