"""The page's menu of files to take home."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from nicegui import ui

from mofa3d.viewer.session import Session


class DownloadMenu:
    """A button and its menu.

    Args:
        session: whose face the files are about.
        address: of a file, by its name.
    """

    def __init__(self, session: Session, address: Callable[[str], str]) -> None:
        self.session, self._address = session, address
        with ui.element("div").classes("foot"):
            button = ui.button("Download", icon="download").props("unelevated no-caps").classes("w-full")
        with button:
            menu = ui.menu().props("max-height=80vh").classes("files")
            menu.props["anchor"], menu.props["self"] = "top left", "bottom left"
        with menu:
            for name, file in session.tools.download.offered.items():
                with ui.menu_item(on_click=partial(self._download, name)), ui.item_section():
                    ui.item_label(file.label)
                    ui.item_label(f"{name}: {file.about}").props("caption")

    def _download(self, name: str) -> None:
        ui.download.from_url(f"{self._address(name)}?version={self.session.version}", name)
