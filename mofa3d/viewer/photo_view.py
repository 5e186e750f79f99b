"""The page's view of the photograph, to zoom into and to compare with what becomes of it."""

from __future__ import annotations

from collections.abc import Callable

from nicegui import events, ui

from mofa3d.viewer.drawing import outline
from mofa3d.viewer.upload import Upload


class PhotoView(ui.element, component="photo_view.js"):
    """A photograph with zoom, a wipe between before and after, and a frame around each of several faces.

    Args:
        on_choose: is called with the number of the face whose frame was clicked.
    """

    def __init__(self, on_choose: Callable[[int], None]) -> None:
        super().__init__()
        self._props.update(width=1, height=1, outlines=[], chosen=0, wiping=False)

        def choose(event: events.GenericEventArguments) -> None:
            if isinstance(event.args, int):
                on_choose(event.args)

        self.on("choose", choose)

    def of(self, upload: Upload) -> None:
        """Look at another photograph."""
        size = upload.width, upload.height
        outlines = [[f"{x:.5f},{y:.5f}" for x, y in outline(face.box, *size)] for face in upload.faces]
        self._props.update(width=upload.width, height=upload.height, outlines=outlines)
        self.update()

    def choose(self, number: int) -> None:
        """Mark one of the faces."""
        self._props["chosen"] = number
        self.update()

    def wipe(self, on: bool) -> None:
        """Whether the photograph as it was covers the left part of the view."""
        self._props["wiping"] = on
        self.update()

    def show(self, before: str, after: str) -> None:
        """Show the pictures at these addresses; each with ``&full=1`` after it has all pixels."""
        self.run_method("show", before, after)
