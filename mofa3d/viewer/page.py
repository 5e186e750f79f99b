"""The page's layout: photograph, 3D view, sliders and downloads."""

from __future__ import annotations

import contextlib
import logging
from functools import partial
from pathlib import Path

from fastapi import HTTPException, Request
from nicegui import events, run, ui

from mofa3d.errors import InputError
from mofa3d.viewer.downloads import FILES
from mofa3d.viewer.drawing import LOOKS
from mofa3d.viewer.forms import sent_file
from mofa3d.viewer.mesh_view import MeshView
from mofa3d.viewer.session import Session
from mofa3d.viewer.sliders import Slider, reach
from mofa3d.viewer.uploads import plain_name, too_large

HERE = Path(__file__).parent
OPEN_GROUPS = ("Pose", "Light")
# What a browser is told when its photograph is not taken, by the answer's status.
UNSENT = {
    429: "the photographs before are still being looked at; wait for them",
    503: "too many photographs are being looked at; try it again later",
}


class Page:
    """What one visitor sees.

    Args:
        session: the visitor's own.
        address: of the session's pictures and files.
    """

    mesh: MeshView

    def __init__(self, session: Session, address: str) -> None:
        self.session = session
        self.address = address
        self.sliders: dict[str, tuple[Slider, ui.slider]] = {}
        self.waiting = 0  # photographs that are being sent or looked at

    def build(self) -> None:
        """Make the page's elements."""
        ui.add_css(HERE / "page.css")
        ui.colors(primary="#2f6fb0")
        self.uploader = self._uploader()
        with ui.element("div").classes("page"):
            self._top()
            self.banner = ui.element("div").classes("banner").props("role=alert")
            with self.banner:
                ui.icon("error_outline", size="20px")
                self.trouble = ui.label()
            self.banner.set_visibility(False)
            self.welcome = self._welcome()
            self.panels = ui.element("div").classes("panels")
            with self.panels:
                self._photograph()
                self._mesh()
                self._controls()
            self.panels.set_visibility(False)
        script = (HERE / "page.js").read_text(encoding="utf-8").replace("UPLOADER", str(self.uploader.id))
        ui.add_body_html(f"<script>{script}</script>")

    def _uploader(self) -> ui.element:
        # Not `ui.upload`: its answer takes any number of files and breaks on what is none, and FastAPI keeps it, with
        # the page that it belongs to, after the page has ended.
        uploader = ui.element("q-uploader").classes("off").props("auto-upload")
        uploader.props["url"] = f"/_nicegui/client/{uploader.client.id}/upload/{uploader.id}"
        uploader.props["max-file-size"] = self.session.tools.limits.bytes
        uploader.on(
            "rejected",
            self._reject,
            js_handler="(refused) => emit(refused[0].failedPropValidation, refused[0].file.name, refused[0].file.size)",
        )
        # Clearing it from here could abort a request that is answered but not yet closed, and report it as failed.
        uploader.on("finish", js_handler=f"() => getElement({uploader.id}).reset()")
        uploader.on("failed", self._unsent, js_handler="(failed) => emit(failed.xhr?.status)")
        return uploader

    def _top(self) -> None:
        with ui.element("div").classes("top"):
            ui.label("mofa3d").classes("title")
            about = "A face in 3D from one photograph, which goes nowhere else than to this page's own server."
            ui.label(about).classes("about")
            self.busy = ui.spinner(size="24px")
            self.busy.set_visibility(False)
            self._chooser("Choose a photograph")

    def _chooser(self, label: str) -> None:
        # The browser opens its dialog only in answer to a click, so it must not go by way of the server.
        pick = f"() => getElement({self.uploader.id}).pickFiles()"
        ui.button(label, icon="add_photo_alternate").props("unelevated no-caps").on("click", js_handler=pick)

    def _welcome(self) -> ui.element:
        limits = self.session.tools.limits
        with ui.element("div").classes("welcome") as welcome, ui.element("div").classes("box"):
            ui.icon("face", size="64px", color="primary")
            ui.label("Drop a photograph here").classes("big")
            self._chooser("or choose one")
            ui.label(
                "JPEG, HEIC, PNG, WebP, AVIF, BMP, GIF or TIFF with a clear, roughly frontal face, "
                f"at most {limits.megabytes:g} MB and {limits.megapixels:g} million pixels."
            ).classes("small")
        return welcome

    def _photograph(self) -> None:
        with ui.element("div").classes("panel"):
            with ui.element("div").classes("bar"):
                ui.label("Photograph").classes("name")
                self.overlay = ui.toggle({True: "With the face", False: "Without"}, value=True, on_change=self.redraw)
                self.overlay.props("unelevated no-caps dense padding='2px 10px'")
            with ui.element("div").classes("stage"):
                self.picture = ui.interactive_image().classes("picture")
            self.photo_name = ui.label().classes("hint")

    def _mesh(self) -> None:
        with ui.element("div").classes("panel"):
            with ui.element("div").classes("bar"):
                ui.label("In 3D").classes("name")
                self.look = ui.toggle(LOOKS, value="lit", on_change=self.redraw)
                self.look.props("unelevated no-caps dense padding='2px 10px'")
                ui.button(icon="center_focus_strong", on_click=lambda: self.mesh.front()).props(
                    "flat dense round size=sm aria-label='Front view'"
                ).tooltip("Front view")
            with ui.element("div").classes("stage"):
                self.mesh = MeshView("/triangles")
            ui.label("Drag to rotate, scroll to zoom.").classes("hint")

    def _controls(self) -> None:
        with ui.element("div").classes("panel side"):
            with ui.element("div").classes("bar"):
                ui.label("Change the face").classes("name")
                ui.button("Reset", icon="restart_alt", on_click=self._reset).props("flat dense no-caps")
            with ui.element("div").classes("controls"):
                self.faces = ui.element("div").classes("rows")
                for group in self.session.tools.groups():
                    with (
                        ui.expansion(group.title, value=group.title in OPEN_GROUPS).classes("w-full"),
                        ui.element("div").classes("rows"),
                    ):
                        for slider in group.sliders:
                            self._row(slider)
            with ui.element("div").classes("foot"), ui.element("div").classes("saves"):
                ui.label("Download").classes("word")
                for name, label in FILES.items():
                    button = ui.button(label, on_click=partial(self._download, name))
                    button.props("outline dense no-caps size=sm padding='3px 8px'").tooltip(name)

    def _row(self, slider: Slider) -> None:
        with ui.element("div").classes("row-slider"):
            ui.label(slider.label)
            knob = ui.slider(min=slider.low, max=slider.high, step=slider.step, value=slider.rest or 0.0)
            knob.props(f"dense aria-label='{slider.label}'")
            # Only what the visitor does: setting the value below must not count as moving the slider.
            knob.on("update:model-value", partial(self._move, slider), throttle=0.05)
            ui.label().classes("number").bind_text_from(knob, "value", slider.text)
        self.sliders[slider.name] = slider, knob

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
        if refusal:
            self._complain(refusal)
        else:
            self._show_face()

    def _reject(self, event: events.GenericEventArguments) -> None:
        match event.args:
            case ["max-file-size", str(name), int(size)]:
                self._complain(too_large(name, size, self.session.tools.limits))
            case [_, str(name), _]:
                self._complain(f"{plain_name(name)} cannot be taken; choose one photograph")

    def _unsent(self, event: events.GenericEventArguments) -> None:
        status = event.args if isinstance(event.args, int) else 0  # what else comes is no browser's
        self._complain(UNSENT.get(status, "the photograph could not be sent; try it again"))

    def _complain(self, message: str) -> None:
        self.trouble.set_text(message)
        self.banner.set_visibility(True)

    def _show_face(self) -> None:
        """Another face: its name, its chooser, where its sliders stand, its pictures."""
        upload = self.session.upload
        self.banner.set_visibility(False)
        self.welcome.set_visibility(False)
        self.panels.set_visibility(True)
        self.photo_name.set_text(f"{upload.name}, {upload.width} × {upload.height} pixels")
        self.faces.clear()
        if len(upload.faces) > 1:
            with self.faces:
                ui.label(f"{len(upload.faces)} faces were found. Which one?").classes("q-pt-sm")
                numbers = {number: str(number + 1) for number in range(len(upload.faces))}
                chooser = ui.toggle(numbers, value=self.session.chosen, on_change=self._choose)
                chooser.props("unelevated dense padding='2px 14px'")
        self._set_sliders()
        self.redraw()

    def _set_sliders(self) -> None:
        for slider, knob in self.sliders.values():
            low, high = reach(slider, self.session.rest(slider))
            knob.props["min"], knob.props["max"] = low, high
            knob.set_value(self.session.value(slider))

    def _choose(self, event: events.ValueChangeEventArguments) -> None:
        self.session.choose(event.value)
        self._set_sliders()
        self.redraw()

    def _move(self, slider: Slider, event: events.GenericEventArguments) -> None:
        with contextlib.suppress(InputError):  # no number, or no photograph: no page sends that
            self.session.move(slider, event.args)
            self.redraw()

    def _reset(self) -> None:
        self.session.reset()
        self._set_sliders()
        self.redraw()

    def redraw(self) -> None:
        """Have the browser fetch the picture and the mesh; it leaves out what it cannot keep up with."""
        version = self.session.version
        self.picture.set_source(f"{self.address}/picture?version={version}&overlay={int(self.overlay.value)}")
        self.mesh.show(f"{self.address}/vertices?version={version}&look={self.look.value}")

    def _download(self, name: str) -> None:
        ui.download.from_url(f"{self.address}/files/{name}?version={self.session.version}", name)
