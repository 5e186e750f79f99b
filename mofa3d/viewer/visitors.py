"""The pages that are open, and what belongs to each."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from mofa3d.viewer.session import Session


@runtime_checkable
class Browser(Protocol):
    """What shows a page; NiceGUI calls it a client."""

    @property
    def has_socket_connection(self) -> bool:
        """Whether it has come back for the page's events, as browsers do at once."""

    def delete(self) -> None:
        """End the page."""


@dataclass
class Visit:
    """A session, the browser that shows it, and, once that has gone, what will end it."""

    session: Session
    browser: Browser | None
    end: threading.Timer | None = None


class Visitors:
    """Sessions by secret addresses, not more than `most` at once.

    Whoever fetches pages without showing them fills no places: the oldest of these give way.

    Args:
        most: at once.
        kept: seconds for which a session stays after its page has ended, for a page that is loaded again.
    """

    def __init__(self, most: int, kept: float = 0.0) -> None:
        self.most, self.kept = most, kept
        self._open: dict[str, Visit] = {}

    def __len__(self) -> int:
        return len(self._open)

    def session(self, token: str) -> Session | None:
        """The session at an address."""
        found = self._open.get(token)
        return found.session if found else None

    def make_room(self) -> bool:
        """Whether one more has a place; what nobody shows is ended for it."""
        unseen = [
            (token, visit)
            for token, visit in self._open.items()
            if visit.browser is None or not visit.browser.has_socket_connection
        ]
        for token, visit in unseen[: max(0, len(self) + 1 - self.most)]:
            if visit.browser is not None:
                visit.browser.delete()
            self._forget(token)
        return len(self) < self.most

    def enter(self, session: Session, browser: Browser) -> str:
        """Keep a session until it leaves; its address."""
        token = secrets.token_urlsafe(24)
        self._open[token] = Visit(session, browser)
        return token

    def claim(self, token: str, browser: Browser) -> Session | None:
        """The session of a page that was loaded again, for the new page; ``None`` if another browser shows it."""
        visit = self._open.get(token)
        if visit is None or (visit.browser is not None and visit.browser.has_socket_connection):
            return None
        if visit.end is not None:
            visit.end.cancel()
        visit.browser, visit.end = browser, None
        for other in [key for key, each in self._open.items() if each.browser is browser and each is not visit]:
            self._forget(other)  # what the new page began with
        return visit.session

    def leave(self, browser: Browser) -> None:
        """A page has ended: its sessions stay for a while if they hold anything, and are then forgotten."""
        for token, visit in list(self._open.items()):
            if visit.browser is not browser:
                continue
            visit.browser = None
            if self.kept and not visit.session.is_empty:
                visit.end = threading.Timer(self.kept, self._expire, (token,))
                visit.end.daemon = True
                visit.end.start()
            else:
                self._forget(token)

    def _expire(self, token: str) -> None:
        visit = self._open.get(token)
        if visit and visit.browser is None:  # it was not claimed at the last moment
            self._forget(token)

    def _forget(self, token: str) -> None:
        found = self._open.pop(token, None)
        if found:
            if found.end is not None:
                found.end.cancel()
            found.session.close()
