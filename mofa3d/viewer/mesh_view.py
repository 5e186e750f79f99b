"""The page's 3D view, drawn by the copy of three.js that NiceGUI brings."""

from __future__ import annotations

import inspect
from pathlib import Path

from nicegui import ui

THREE = Path(inspect.getfile(ui.scene)).parent / "dist"


class MeshView(ui.element, component="mesh_view.js", esm={"nicegui-scene": str(THREE)}):
    """A mesh that visitors turn with the mouse.

    Args:
        triangles: address of `mofa3d.viewer.drawing.triangle_bytes`.
    """

    def __init__(self, triangles: str) -> None:
        super().__init__()
        self._props["triangles"] = triangles

    def show(self, address: str) -> None:
        """Show the vertices at this address, which answers with `mofa3d.viewer.drawing.vertex_bytes`."""
        self.run_method("show", address)

    def front(self) -> None:
        """Look from where the photograph was taken."""
        self.run_method("front")
