"""A message across the page that stays until it is closed, or until it no longer holds."""

from __future__ import annotations

from nicegui import ui


class Banner:
    """Hidden without a message.

    Args:
        kind: ``error`` is read out at once, ``notice`` when there is time.
    """

    def __init__(self, kind: str) -> None:
        role, icon = {"error": ("alert", "error_outline"), "notice": ("status", "warning_amber")}[kind]
        with ui.element("div").classes(f"banner {kind}").props(f"role={role}") as self._banner:
            ui.icon(icon, size="20px")
            self._label = ui.label().classes("said")
            close = ui.button(icon="close", on_click=self.hide).props("flat dense round size=sm")
            close.props["aria-label"] = "Close this message"
        self.hide()

    @property
    def message(self) -> str:
        """The last one, or "" if it no longer holds."""
        return self._label.text

    def say(self, message: str) -> None:
        """Show a message; an empty one hides it."""
        self._label.set_text(message)
        self._banner.set_visibility(bool(message))

    def hide(self) -> None:
        """Close it."""
        self._banner.set_visibility(False)
