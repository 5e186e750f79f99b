"""The page's two views, the photograph and the face in 3D, with what chooses how they look."""

from __future__ import annotations

from collections.abc import Callable

from nicegui import ui

from mofa3d.viewer.drawing import PICTURES
from mofa3d.viewer.lamp import Lamp
from mofa3d.viewer.mesh_data import LOOKS
from mofa3d.viewer.mesh_view import MeshView
from mofa3d.viewer.photo_view import PhotoView
from mofa3d.viewer.session import Session
from mofa3d.viewer.upload import Upload


class Views:
    """Each view is there twice: for the face, and for one that was put aside.

    Args:
        session: whose face they show.
        choose: is called with the number of the face whose frame was clicked.
        lit: is called when the lamp was moved.
    """

    def __init__(self, session: Session, choose: Callable[[int], None], lit: Callable[[], None]) -> None:
        self._session = session
        self._address = ""
        self._lit = lit
        self._photograph(choose)
        self._mesh()
        self._beside: Upload | None = None

    @property
    def session(self) -> Session:
        return self._session

    @session.setter
    def session(self, session: Session) -> None:
        self._session = self.lamp.session = session

    def _photograph(self, choose: Callable[[int], None]) -> None:
        shown = self.session.shown
        with ui.element("div").classes("panel"):
            with ui.element("div").classes("bar"):
                self.kind = ui.toggle(PICTURES, value=shown.picture, on_change=self._look).classes("name")
                self.kind.props("unelevated no-caps dense").props["aria-label"] = "Photograph"
                self.wipe = ui.switch("Compare", value=shown.wipe, on_change=self._look).props("dense")
            with ui.element("div").classes("stage"):
                with ui.element("div").classes("half"):
                    self.photo = PhotoView(choose)
                with ui.element("div").classes("half") as self.photo_half:
                    self.photo_beside = PhotoView(lambda number: None)
            self.name = ui.label().classes("hint")

    def _mesh(self) -> None:
        shown = self.session.shown
        with ui.element("div").classes("panel"):
            with ui.element("div").classes("bar"):
                self.look = ui.toggle(LOOKS, value=shown.look, on_change=self._look).classes("name")
                self.look.props("unelevated no-caps dense").props["aria-label"] = "Face in 3D"
                self.wireframe = ui.switch("Wireframe", value=shown.wireframe, on_change=self._look).props("dense")
                front = ui.button(icon="center_focus_strong", on_click=self._front)
                front.props("flat dense round size=sm").tooltip("Front view (Home)").props["aria-label"] = "Front view"
            with ui.element("div").classes("stage"):
                with ui.element("div").classes("half"):
                    self.mesh = MeshView("/triangles", "/coordinates")
                    self.lamp = Lamp(self.session, self._lit)
                with ui.element("div").classes("half") as self.mesh_half:
                    self.mesh_beside = MeshView("/triangles", "/coordinates")
            ui.label("Drag or use the arrow keys to rotate; scroll, + or − to zoom.").classes("hint")

    def _front(self) -> None:
        self.mesh.front()
        self.mesh_beside.front()

    def restore(self) -> None:
        """Set the choices to those of another session."""
        shown = self.session.shown
        kept = shown.picture, shown.look, shown.wipe, shown.wireframe
        for control, value in zip((self.kind, self.look, self.wipe, self.wireframe), kept, strict=True):
            control.set_value(value)
        self._beside = None

    def of(self, upload: Upload) -> None:
        """Look at another photograph."""
        self.name.set_text(f"{upload.name}, {upload.width} × {upload.height} pixels")
        self.photo.of(upload)

    def _look(self) -> None:
        shown = self.session.shown
        shown.picture, shown.look = str(self.kind.value), str(self.look.value)
        shown.wipe, shown.wireframe = bool(self.wipe.value), bool(self.wireframe.value)
        if self._address:
            self.show(self._address)

    def show(self, address: str) -> None:
        """Show the session's face, and the one beside it.

        Args:
            address: of the session.
        """
        self._address = address
        session, beside = self.session, self.session.beside
        if not session.has_photograph:
            return
        self.photo.choose(session.chosen)
        self.lamp.place()
        self._show_one(self.photo, self.mesh, session.view().name, f"version={session.version}")
        for half in (self.photo_half, self.mesh_half):
            half.set_visibility(beside is not None)
        if beside is not None:
            if self._beside is not beside.upload:
                self._beside = beside.upload
                self.photo_beside.of(beside.upload)
            self.photo_beside.choose(beside.number)
            name = beside.name
            self._show_one(self.photo_beside, self.mesh_beside, name, f"beside=1&of={name}&version={session.version}")

    def _show_one(self, photo: PhotoView, mesh: MeshView, name: str, which: str) -> None:
        shown = self.session.shown
        photo.wipe(shown.wipe)
        mesh.wireframe(shown.wireframe)
        beside = "&beside=1" if which.startswith("beside") else ""
        before = f"{self._address}/picture?kind=photo&of={name}{beside}"
        photo.show(before, f"{self._address}/picture?kind={shown.picture}&{which}")
        vertices = f"{self._address}/vertices?look={shown.look}&{which}"
        if shown.look == "texture":
            mesh.show(vertices, f"{self._address}/texture?of={name}{beside}", name)
        else:
            mesh.show(vertices)
