"""The page's 3D view, drawn by the copy of three.js that NiceGUI brings."""

from __future__ import annotations

import inspect
from pathlib import Path

from nicegui import ui

THREE = Path(inspect.getfile(ui.scene)).parent / "dist"


class MeshView(ui.element, component="mesh_view.js", esm={"nicegui-scene": str(THREE)}):
    """A mesh that visitors turn with the mouse or the arrow keys.

    Args:
        triangles: address of `mofa3d.viewer.mesh_data.triangle_bytes`.
        coordinates: address of `mofa3d.viewer.mesh_data.coordinate_bytes`.
    """

    def __init__(self, triangles: str, coordinates: str) -> None:
        super().__init__()
        self._props["triangles"], self._props["coordinates"] = triangles, coordinates

    def show(self, vertices: str, texture: str = "", name: str = "") -> None:
        """Show vertices, with a texture or without.

        Args:
            vertices: address that answers with `mofa3d.viewer.mesh_data.vertex_bytes`.
            texture: address of the picture whose factors their colors are.
            name: of that picture, which is fetched again if it has another one.
        """
        self.run_method("show", vertices, texture, name)

    def wireframe(self, on: bool) -> None:
        """Draw the triangles' edges too, or not."""
        self.run_method("wireframe", on)

    def front(self) -> None:
        """Look from where the photograph was taken."""
        self.run_method("front")
