"""What stands before the page's server: other sites, endless and slow bodies, and uploads that break off stay out."""

from __future__ import annotations

import asyncio
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mofa3d.viewer.hosts import Hosts, Refusal
from mofa3d.viewer.uploads import Limits

ENVELOPE = 100_000  # bytes of a request around an uploaded file, and of any other request
REFUSED = 10  # times the largest photograph: as much of what is refused is still taken in, and thrown away
# No other site may show the page in a frame, use its pictures, or learn its secret addresses.
HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
GONE: Message = {"type": "http.disconnect"}
TOO_SLOW = Refusal(408, "The request came too slowly.")
TOO_LARGE = Refusal(413, "The request is too large.")
BUSY = Refusal(503, "Too many photographs at once; try it again later.")


class Guard:
    """ASGI middleware.

    Args:
        app: what it guards.
        hosts: the names that the page has.
        limits: on what is sent.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts, limits: Limits) -> None:
        self.app = app
        self.hosts = hosts
        self.limits = limits
        self.uploads = 0  # that are being sent or looked at

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
        elif refusal := self.hosts.refusal(scope):
            await self._refuse(refusal, scope, receive, send)
        elif scope["type"] == "websocket":
            await self.app(scope, receive, send)
        elif not (scope["method"] == "POST" and "/upload/" in scope["path"]):
            await self._answer(ENVELOPE, scope, receive, send)
        elif self.uploads >= self.limits.uploads:
            await self._refuse(BUSY, scope, receive, send)
        else:
            self.uploads += 1
            try:
                await self._answer(self.limits.bytes + ENVELOPE, scope, receive, send)
            finally:
                self.uploads -= 1

    async def _answer(self, most: int, scope: Scope, receive: Receive, send: Send) -> None:
        body = _Body(receive, most, self.limits)
        started = False

        async def send_on(message: Message) -> None:
            nonlocal started
            if body.trouble is None or started:
                started = True
                await _with_headers(send)(message)

        if _announced(scope) > most:
            await self._refuse(TOO_LARGE, scope, receive, send)
            return
        try:
            await self.app(scope, body.receive, send_on)
        except Exception:
            if not body.broken:  # else it is a consequence: nobody is there to be answered, or it is answered here
                raise
        if body.trouble is not None and not started:
            await self._refuse(body.trouble, scope, receive, send)

    async def _refuse(self, refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        close = {"Connection": "close"} if refusal is TOO_SLOW else {}
        if refusal is not TOO_SLOW:  # browsers read no answer before they have sent everything
            rest = _Body(receive, REFUSED * self.limits.bytes, self.limits)
            while (await rest.receive()).get("more_body"):
                pass
        await PlainTextResponse(refusal.reason, refusal.status, close)(scope, receive, _with_headers(send))


class _Body:
    """A request's body that must end, and come at a rate: one that trickles would hold its place for ever.

    What reads it sees one that breaks off: errors from here would reach it through NiceGUI's layers as others.
    """

    def __init__(self, receive: Receive, most: int, limits: Limits) -> None:
        self._receive, self._most, self._limits = receive, most, limits
        self._waited, self._bytes, self._complete = 0.0, 0, False
        self.broken = False
        self.trouble: Refusal | None = None  # why, unless the client has gone

    async def receive(self) -> Message:
        if self._complete:  # what comes now is that the client has gone
            return await self._receive()
        if self.broken:
            return GONE
        allowed = self._limits.patience + self._bytes / self._limits.slowest - self._waited
        start = time.monotonic()
        try:
            message = await asyncio.wait_for(self._receive(), max(allowed, 0.0))
        except asyncio.TimeoutError:
            return self._break(TOO_SLOW)
        if message["type"] != "http.request":
            return self._break(None)
        self._waited += time.monotonic() - start
        self._bytes += len(message.get("body", b""))
        if self._bytes > self._most:
            return self._break(TOO_LARGE)
        self._complete = not message.get("more_body", False)
        return message

    def _break(self, trouble: Refusal | None) -> Message:
        self.broken, self.trouble = True, trouble
        return GONE


def _announced(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "0")
    return int(length) if length.isdecimal() else 0


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(HEADERS)
        await send(message)

    return send_with_headers
