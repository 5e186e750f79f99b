"""What the page shows of a video: how far it is, and then the film and its files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from nicegui import ui

from mofa3d.reconstruction.video.reconstruct import FILM
from mofa3d.viewer.session import Session
from mofa3d.viewer.video_job import VIDEO_FILES, VideoJob

INTERVAL = 0.5  # seconds between looks at the progress


class VideoPanel:
    """Hidden without a video.

    Args:
        session: whose video it is.
        address: of the session, which may change.
        complain: is told why nothing became of the video.
    """

    def __init__(self, session: Session, address: Callable[[], str], complain: Callable[[str], None]) -> None:
        self.session, self._address, self._complain = session, address, complain
        self._shown: VideoJob | None = None
        with ui.element("div").classes("panel video") as self._panel:
            with ui.element("div").classes("bar"):
                self._name = ui.label().classes("name")
                close = ui.button(icon="close", on_click=self._close).props("flat dense round")
                close.props["aria-label"] = "Close the video"
            with ui.element("div").classes("working") as self._working:
                self._bar = ui.linear_progress(0.0, show_value=False).props("size=10px rounded")
                self._bar.props["aria-label"] = "Progress"
                self._percent = ui.label().classes("word")
            with ui.element("div").classes("ready") as self._ready:
                self._film = ui.video("").classes("film")
                self._film.props["aria-label"] = "Film of the face"
                self._saves = ui.element("div").classes("saves")
        self._panel.set_visibility(False)
        self._timer = ui.timer(INTERVAL, self.update, active=False)

    def update(self) -> None:
        """Show how far the session's video is."""
        job = self.session.video
        self._panel.set_visibility(job is not None)
        if job is None:
            self._timer.deactivate()
            return
        self._timer.active = not job.done
        self._working.set_visibility(not job.done)
        self._ready.set_visibility(job.done)
        self._name.set_text(job.name)
        self._bar.set_value(job.progress)
        self._percent.set_text(f"{100 * job.progress:.0f} %")
        if job.done and job.trouble:
            self._complain(job.trouble)
            self._close()
        elif job.done and job is not self._shown:
            self._shown = job
            self._saves.clear()
            with self._saves:
                for name in job.files:
                    save = ui.button(VIDEO_FILES[name], icon="download", on_click=partial(self._download, name))
                    save.props("outline dense no-caps").tooltip(name)
            self._film.set_source(f"{self._address()}/video/{FILM}?of={id(job)}")

    def _close(self) -> None:
        self.session.drop_video()
        self._shown = None
        self.update()

    def _download(self, name: str) -> None:
        ui.download.from_url(f"{self._address()}/video/{name}", name)
