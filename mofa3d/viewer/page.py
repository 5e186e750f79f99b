"""What one visitor sees and does: photographs come in, faces are chosen, and the views are told what to show."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from fastapi import HTTPException, Request
from nicegui import run, ui

from mofa3d.errors import InputError
from mofa3d.viewer.banner import Banner
from mofa3d.viewer.controls import Controls
from mofa3d.viewer.download_menu import DownloadMenu
from mofa3d.viewer.faces import Faces
from mofa3d.viewer.forms import sent_file
from mofa3d.viewer.sample import sample_photograph
from mofa3d.viewer.session import Session
from mofa3d.viewer.uploader import TAKEN, UNSENT, Uploader
from mofa3d.viewer.uploads import plain_name
from mofa3d.viewer.video_job import is_video
from mofa3d.viewer.video_panel import VideoPanel
from mofa3d.viewer.views import Views

HERE = Path(__file__).parent
KEPT = "mofa3d-session"  # where a browser's tab keeps the secret of its session
CLOSED = "This page is no longer open; load it again."
PATIENCE = 5  # attempts to take a session over from a page that is just being left


class Page:
    """What one visitor sees.

    Args:
        session: the visitor's own.
        token: of the session's secret address.
        claim: gives the session of a token to this page, if no other page shows it.
    """

    def __init__(self, session: Session, token: str, claim: Callable[[str], Session | None]) -> None:
        self.session, self.token, self._claim = session, token, claim
        self.waiting = 0  # photographs that are being sent or looked at

    @property
    def address(self) -> str:
        """Of the session's pictures and files."""
        return f"/sessions/{self.token}"

    def build(self) -> None:
        """Make the page's elements."""
        ui.add_css(HERE / "page.css")
        ui.colors(primary="#2f6fb0")
        self.uploader = Uploader(self.session.tools.limits, lambda message: self.trouble.say(message))
        with ui.element("div").classes("page"):
            self._top()
            self.trouble, self.notice = Banner("error"), Banner("notice")
            self.video = VideoPanel(self.session, lambda: self.address, self.trouble.say)
            self.welcome = self._welcome()
            self.faces = Faces(self.choose)
            self.panels = ui.element("div").classes("panels")
            with self.panels:
                self.views = Views(self.session, self.choose, self.lit)
                with ui.element("div").classes("panel side"):
                    self.controls = Controls(self.session, self.redraw, self._refine)
                    self.downloads = DownloadMenu(self.session, lambda name: f"{self.address}/files/{name}")
            self.panels.set_visibility(False)
        scripts = [(HERE / name).read_text(encoding="utf-8") for name in ("webcam.js", "page.js")]
        script = "\n".join(scripts).replace("UPLOADER", str(self.uploader.id))
        ui.add_body_html(f"<script>{script}</script>")

    def _top(self) -> None:
        with ui.element("div").classes("top"):
            ui.label("mofa3d").classes("title")
            about = "A face in 3D from one photograph, which goes nowhere else than to this page's own server."
            ui.label(about).classes("about")
            self.busy = ui.spinner(size="24px")
            self.busy.set_visibility(False)
            self.aside = _icon("splitscreen", "Keep this face beside the next", self._put_aside)
            self.aside.set_visibility(False)
            _icon("photo_camera", "Use the camera").on("click", js_handler="() => openCamera()")
            _icon("contrast", "Light or dark").on("click", js_handler="() => switchTheme()")
            self.uploader.button("Choose a photograph")

    def _welcome(self) -> ui.element:
        limits = self.session.tools.limits
        with ui.element("div").classes("welcome") as welcome, ui.element("div").classes("box"):
            ui.icon("face", size="64px", color="primary")
            ui.label("Drop a photograph here").classes("big")
            with ui.element("div").classes("ways"):
                self.uploader.button("or choose one")
                if sample_photograph() is not None:
                    sample = ui.button("Try a sample", icon="portrait", on_click=self._open_sample)
                    sample.props("outline no-caps").tooltip("Grace Hopper, by the US Navy (public domain)")
            ui.label(
                f"{TAKEN} with a clear, roughly frontal face, or a video: "
                f"at most {limits.megabytes:g} MB and {limits.megapixels:g} million pixels."
            ).classes("small")
        return welcome

    async def receive(self, request: Request) -> None:
        """Take the photograph that a form brings.

        Raises:
            HTTPException: as `sent_file`; 429, those before are not done; 404, the page has ended meanwhile.
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
        if self.session.closed:
            raise HTTPException(404, CLOSED)

    async def _open_sample(self) -> None:
        path = sample_photograph()
        if path is not None and self.waiting < self.session.tools.limits.waiting:
            self.waiting += 1
            try:
                await self._open(path.read_bytes(), path.name)
            finally:
                self.waiting -= 1

    async def _open(self, content: bytes, name: str) -> None:
        if is_video(content, name):
            await self._work(lambda: self.session.start_video(content, name), "the video could not be kept")
            self.video.update()
            return
        unreadable = f"{plain_name(name)} could not be read; save it as a plain JPEG or PNG file"
        if await self._work(lambda: self.session.open(content, name), unreadable):
            self._show_photograph()

    async def _refine(self, on: bool) -> None:
        if await self._work(lambda: self.session.refine(on), "this face could not be fitted more closely"):
            self._show_face()
        else:
            self.controls.update()

    async def _work(self, act: Callable[[], None], failed: str) -> bool:
        """Do what takes seconds; whether it was done and the page is still there. If it was not, the page says why."""
        self.busy.set_visibility(True)
        refusal = ""
        try:
            await run.io_bound(act)
        except InputError as error:
            refusal = str(error)
        except Exception:  # whatever a file can do to a decoder, the page goes on
            logging.getLogger(__name__).exception("working on a photograph")
            refusal = failed
        if self.session.closed:
            return False
        self.busy.set_visibility(False)
        self.trouble.say(refusal)
        return not refusal

    async def resume(self) -> None:
        """Take over the session of the page that the same tab showed before, if it was only loaded again."""
        client = self.uploader.element.client
        with contextlib.suppress(TimeoutError):
            token = await client.run_javascript(f"return sessionStorage.getItem('{KEPT}')", timeout=5)
            if isinstance(token, str) and token != self.token:
                for _ in range(PATIENCE):
                    if found := self._claim(token):
                        self._adopt(found, token)
                        break
                    await asyncio.sleep(0.2)
            client.run_javascript(f"sessionStorage.setItem('{KEPT}', '{self.token}')")

    def _adopt(self, session: Session, token: str) -> None:
        self.session, self.token = session, token
        for part in (self.views, self.controls, self.downloads, self.video):
            part.session = session
        self.views.restore()
        self.video.update()
        self._show_photograph()

    def _show_photograph(self) -> None:
        """Another photograph: its faces."""
        if not self.session.has_photograph:
            return
        self.welcome.set_visibility(False)
        self.panels.set_visibility(True)
        self.aside.set_visibility(True)
        self.views.of(self.session.upload)
        self.faces.show(self.session.upload, f"{self.address}/faces", self.session.number)
        self._show_face()

    def _show_face(self) -> None:
        """Another face: what is doubtful about it, where its sliders stand, its pictures."""
        session = self.session
        self.notice.say(session.upload.notice(session.now.start.warning))
        self.faces.mark(session.chosen)
        self.controls.update()
        self.redraw()

    def choose(self, number: int) -> None:
        """Look at another face of the photograph."""
        with contextlib.suppress(InputError):  # no page sends that
            self.session.choose(number)
            self._show_face()

    def lit(self) -> None:
        """The lamp was moved."""
        self.controls.update()
        self.redraw()

    def _put_aside(self) -> None:
        with contextlib.suppress(InputError):  # no photograph: no page sends that
            self.session.put_aside(self.session.beside is None)
            self.redraw()

    def redraw(self) -> None:
        """Have the browser fetch the pictures and the meshes; it leaves out what it cannot keep up with."""
        self.views.show(self.address)
        self.aside.props["aria-pressed"] = "false" if self.session.beside is None else "true"


def _icon(icon: str, label: str, act: Callable[[], object] | None = None) -> ui.button:
    button = ui.button(icon=icon, on_click=act).props("flat dense round").tooltip(label)
    button.props["aria-label"] = label
    return button
