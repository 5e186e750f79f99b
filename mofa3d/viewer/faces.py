"""The faces of a photograph as small pictures, of which one is chosen."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from nicegui import ui

from mofa3d.viewer.upload import Upload


class Faces:
    """Hidden for a single face.

    Args:
        on_choose: is called with the number of the face that was clicked.
    """

    def __init__(self, on_choose: Callable[[int], None]) -> None:
        self._on_choose = on_choose
        self._strip = ui.element("div").classes("faces").props("role=group")
        self._strip.props["aria-label"] = "Faces of the photograph"
        self._buttons: list[ui.element] = []
        self._strip.set_visibility(False)

    def show(self, upload: Upload, address: str, version: int) -> None:
        """Show the faces of a photograph.

        Args:
            address: of the pictures, by number.
            version: of the photograph, for browsers that have kept those of another one.
        """
        self._strip.clear()
        self._buttons = []
        self._strip.set_visibility(len(upload.faces) > 1)
        if len(upload.faces) < 2:
            return
        with self._strip:
            ui.label(f"{len(upload.faces)} faces").classes("word")
            for number, face in enumerate(upload.faces):
                with ui.element("button").classes("face") as button:
                    button.props["type"], button.props["aria-label"] = "button", f"Face {number + 1}"
                    picture = ui.element("img")
                    picture.props["alt"], picture.props["src"] = "", f"{address}/{number}?of={version}"
                    if face.warning:
                        ui.icon("warning_amber", size="18px").classes("doubt")
                        ui.tooltip(f"This face {face.warning}")
                button.on("click", partial(self._on_choose, number))
                self._buttons.append(button)

    def mark(self, chosen: int) -> None:
        """Show which one is chosen."""
        for number, button in enumerate(self._buttons):
            button.props["aria-pressed"] = "true" if number == chosen else "false"
            button.update()
