"""The pages that are open, and what belongs to each."""

from __future__ import annotations

import secrets
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


class Visitors:
    """Sessions by secret addresses, not more than `most` at once.

    Whoever fetches pages without showing them fills no places: the oldest of these give way.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._open: dict[str, tuple[Session, Browser]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def session(self, token: str) -> Session | None:
        """The session at an address."""
        found = self._open.get(token)
        return found[0] if found else None

    def make_room(self) -> bool:
        """Whether one more has a place; pages that nobody shows are ended for it."""
        unseen = [browser for _, browser in self._open.values() if not browser.has_socket_connection]
        for browser in unseen[: max(0, len(self) + 1 - self.most)]:
            browser.delete()
        return len(self) < self.most

    def enter(self, session: Session, browser: Browser) -> str:
        """Keep a session until it leaves; its address."""
        token = secrets.token_urlsafe(24)
        self._open[token] = session, browser
        return token

    def leave(self, token: str) -> None:
        """Forget a session and what it holds."""
        found = self._open.pop(token, None)
        if found:
            found[0].close()
