"""Messages of the page's socket that no page sends: they are dropped, where NiceGUI would write an error for each."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable

from socketio import AsyncServer

_LOG = logging.getLogger(__name__)
_MALFORMED = (AttributeError, IndexError, KeyError, TypeError, ValueError)


def drop_malformed(server: AsyncServer) -> None:
    """Wrap the handlers of what browsers say. That of their leaving stays: it is asked with one argument and with two.

    What their own callers do wrong does not come here: NiceGUI reports the errors of event handlers itself.
    """
    for event, handler in dict(server.handlers["/"]).items():
        if event != "disconnect":
            server.on(event, _dropping(handler))
    server.on("log", _note)
    logging.getLogger("engineio.server").setLevel(logging.CRITICAL)  # it writes a traceback for broken packets


def _dropping(handler: Callable) -> Callable:
    async def handle(*arguments: object) -> object:
        try:
            answer = handler(*arguments)
            return await answer if inspect.isawaitable(answer) else answer
        except _MALFORMED as error:
            _LOG.debug("a message was dropped: %r", error)
            return False  # to a handshake: refused

    return handle


async def _note(_: str, *message: object) -> None:
    """What a page writes into its browser's log; anybody may send this, with any characters and any number of lines."""
    _LOG.debug("a page writes %.1000r", message)
