"""The page's layout: photograph, 3D view, sliders and downloads."""

from __future__ import annotations

import contextlib
import logging
from functools import partial
from pathlib import Path

from fastapi import HTTPException, Request
from nicegui import events, run, ui

from mofa3d.errors import InputError
from mofa3d.viewer.banner import Banner
from mofa3d.viewer.controls import Controls
from mofa3d.viewer.downloads import FILES
from mofa3d.viewer.drawing import PICTURES
from mofa3d.viewer.faces import Faces
from mofa3d.viewer.forms import sent_file
from mofa3d.viewer.mesh_data import LOOKS
from mofa3d.viewer.mesh_view import MeshView
from mofa3d.viewer.photo_view import PhotoView
from mofa3d.viewer.session import Session
from mofa3d.viewer.uploader import TAKEN, UNSENT, Uploader
from mofa3d.viewer.uploads import plain_name

HERE = Path(__file__).parent


class Page:
    """What one visitor sees.

    Args:
        session: the visitor's own.
        address: of the session's pictures and files.
    """

    def __init__(self, session: Session, address: str) -> None:
        self.session = session
        self.address = address
        self.waiting = 0  # photographs that are being sent or looked at

    def build(self) -> None:
        """Make the page's elements."""
        ui.add_css(HERE / "page.css")
        ui.colors(primary="#2f6fb0")
        ui.dark_mode(None)
        self.uploader = Uploader(self.session.tools.limits, lambda message: self.trouble.say(message))
        with ui.element("div").classes("page"):
            self._top()
            self.trouble, self.notice = Banner("error"), Banner("notice")
            self.welcome = self._welcome()
            self.faces = Faces(self.choose)
            self.panels = ui.element("div").classes("panels")
            with self.panels:
                self._photograph()
                self._mesh()
                with ui.element("div").classes("panel side"):
                    self.controls = Controls(self.session, self.redraw)
                    self._downloads()
            self.panels.set_visibility(False)
        script = (HERE / "page.js").read_text(encoding="utf-8").replace("UPLOADER", str(self.uploader.id))
        ui.add_body_html(f"<script>{script}</script>")

    def _top(self) -> None:
        with ui.element("div").classes("top"):
            ui.label("mofa3d").classes("title")
            about = "A face in 3D from one photograph, which goes nowhere else than to this page's own server."
            ui.label(about).classes("about")
            self.busy = ui.spinner(size="24px")
            self.busy.set_visibility(False)
            theme = ui.button(icon="contrast").props("flat dense round aria-label='Light or dark'")
            theme.tooltip("Light or dark").on("click", js_handler="() => switchTheme()")
            self.uploader.button("Choose a photograph")

    def _welcome(self) -> ui.element:
        limits = self.session.tools.limits
        with ui.element("div").classes("welcome") as welcome, ui.element("div").classes("box"):
            ui.icon("face", size="64px", color="primary")
            ui.label("Drop a photograph here").classes("big")
            self.uploader.button("or choose one")
            ui.label(
                f"{TAKEN} with a clear, roughly frontal face, "
                f"at most {limits.megabytes:g} MB and {limits.megapixels:g} million pixels."
            ).classes("small")
        return welcome

    def _photograph(self) -> None:
        shown = self.session.shown
        with ui.element("div").classes("panel"):
            with ui.element("div").classes("bar"):
                self.kind = ui.toggle(PICTURES, value=shown.picture, on_change=self._look).classes("name")
                self.kind.props("unelevated no-caps dense padding='2px 10px' aria-label='Photograph'")
                self.wipe = ui.switch("Compare", value=shown.wipe, on_change=self._look).props("dense")
            with ui.element("div").classes("stage"):
                self.photo = PhotoView(self.choose)
            self.photo_name = ui.label().classes("hint")

    def _mesh(self) -> None:
        shown = self.session.shown
        with ui.element("div").classes("panel"):
            with ui.element("div").classes("bar"):
                self.look = ui.toggle(LOOKS, value=shown.look, on_change=self._look).classes("name")
                self.look.props("unelevated no-caps dense padding='2px 10px' aria-label='Face in 3D'")
                self.wireframe = ui.switch("Wireframe", value=shown.wireframe, on_change=self._look).props("dense")
                ui.button(icon="center_focus_strong", on_click=lambda: self.mesh.front()).props(
                    "flat dense round size=sm aria-label='Front view'"
                ).tooltip("Front view (Home)")
            with ui.element("div").classes("stage"):
                self.mesh = MeshView("/triangles", "/coordinates")
            ui.label("Drag or use the arrow keys to rotate; scroll, + or − to zoom.").classes("hint")

    def _downloads(self) -> None:
        with ui.element("div").classes("foot"), ui.element("div").classes("saves"):
            ui.label("Download").classes("word")
            for name, label in FILES.items():
                button = ui.button(label, on_click=partial(self._download, name))
                button.props("outline dense no-caps size=sm padding='3px 8px'").tooltip(name)

    async def receive(self, request: Request) -> None:
        """Take the photograph that a form brings.

        Raises:
            HTTPException: as `sent_file`; 429, those before are not done.
        """
        if self.waiting >= self.session.tools.limits.waiting:
            async for _ in request.stream():  # browsers read no answer before they have sent everything
                pass
            raise HTTPException(429, UNSENT[429])
        self.waiting += 1
        try:
            await self._open(*await sent_file(request))
        finally:
            self.waiting -= 1

    async def _open(self, content: bytes, name: str) -> None:
        self.busy.set_visibility(True)
        refusal = ""
        try:
            await run.io_bound(self.session.open, content, name)
        except InputError as error:
            refusal = str(error)
        except Exception:  # whatever a file can do to a decoder, the page goes on
            logging.getLogger(__name__).exception("reading an upload")
            refusal = f"{plain_name(name)} could not be read; save it as a plain JPEG or PNG file"
        if self.session.closed:
            return
        self.busy.set_visibility(False)
        self.trouble.say(refusal)
        if not refusal:
            self._show_photograph()

    def _show_photograph(self) -> None:
        """Another photograph: its name and its faces."""
        upload = self.session.upload
        self.welcome.set_visibility(False)
        self.panels.set_visibility(True)
        self.photo_name.set_text(f"{upload.name}, {upload.width} × {upload.height} pixels")
        self.photo.of(upload)
        self.faces.show(upload, f"{self.address}/faces", self.session.number)
        self._show_face()

    def _show_face(self) -> None:
        """Another face: what is doubtful about it, where its sliders stand, its pictures."""
        session = self.session
        self.notice.say(session.upload.notice(session.chosen))
        self.faces.mark(session.chosen)
        self.photo.choose(session.chosen)
        self.controls.update()
        self._look()

    def choose(self, number: int) -> None:
        """Look at another face of the photograph."""
        with contextlib.suppress(InputError):  # no page sends that
            self.session.choose(number)
            self._show_face()

    def _look(self, _: events.ValueChangeEventArguments | None = None) -> None:
        shown = self.session.shown
        shown.picture, shown.look = str(self.kind.value), str(self.look.value)
        shown.wipe, shown.wireframe = bool(self.wipe.value), bool(self.wireframe.value)
        self.photo.wipe(shown.wipe)
        self.mesh.wireframe(shown.wireframe)
        self.redraw()

    def redraw(self) -> None:
        """Have the browser fetch the picture and the mesh; it leaves out what it cannot keep up with."""
        session, shown = self.session, self.session.shown
        if not session.has_photograph:
            return
        pictures, version = f"{self.address}/picture", f"version={session.version}"
        before = f"{pictures}?kind=photo&of={session.number}"
        self.photo.show(before, f"{pictures}?kind={shown.picture}&{version}")
        vertices = f"{self.address}/vertices?look={shown.look}&{version}"
        if shown.look == "texture":
            name = session.texture_name
            self.mesh.show(vertices, f"{self.address}/texture?of={name}", name)
        else:
            self.mesh.show(vertices)

    def _download(self, name: str) -> None:
        ui.download.from_url(f"{self.address}/files/{name}?version={self.session.version}", name)
