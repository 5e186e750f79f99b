"""Connections that send nothing, or headers drop by drop, are closed: Uvicorn would wait for them for ever."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from mofa3d.viewer.uploads import Limits

LONGEST_HEADERS = 65_536  # bytes


class BoundedProtocol(AutoHTTPProtocol):
    """Uvicorn's, with a time limit on a request's headers and a limit on connections.

    A request's body has its limits in `mofa3d.viewer.guard`, and a quiet connection those of Uvicorn.
    """

    limits = Limits()

    def connection_made(self, transport: Any) -> None:  # uvloop has classes of its own
        self._deadline: asyncio.TimerHandle | None = None
        self._bytes = 0
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            transport.abort()
            return
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        if before is None or before.response_complete:
            self._wait()
        super().data_received(data)
        if self.cycle is not before or self.transport.get_protocol() is not self:  # headers complete, or a WebSocket
            self._stop_waiting()
        elif self._deadline is not None:
            self._bytes += len(data)
            if self._bytes > LONGEST_HEADERS:
                self.transport.abort()

    def _wait(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.limits.patience, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._bytes = 0


def bounded(limits: Limits) -> type[asyncio.Protocol]:
    """The protocol with these limits, for Uvicorn's configuration."""
    return type("BoundedProtocol", (BoundedProtocol,), {"limits": limits})
