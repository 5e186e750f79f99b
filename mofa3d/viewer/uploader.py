"""How the page's browser sends a photograph: one uploader, which every button and the page itself use."""

from __future__ import annotations

from collections.abc import Callable

from nicegui import events, ui

from mofa3d.viewer.uploads import Limits, plain_name, too_large

# What the dialog of a browser offers; some systems know no type for the newer formats, but their suffixes.
ACCEPTED = "image/*,video/*,.heic,.heif,.avif,.webp,.mkv"
TAKEN = "JPEG, HEIC, PNG, WebP, AVIF, BMP, GIF or TIFF"
# What a browser is told when its photograph is not taken, by the answer's status.
UNSENT = {
    429: "the photographs before are still being looked at; wait for them",
    503: "too many photographs are being looked at; try it again later",
}


class Uploader:
    """Not `ui.upload`: its answer takes any number of files and breaks on what is none, and FastAPI keeps it, with the
    page that it belongs to, after the page has ended.

    Args:
        limits: on what is sent.
        complain: is told why something is not taken.
    """

    def __init__(self, limits: Limits, complain: Callable[[str], None]) -> None:
        self._limits, self._complain = limits, complain
        self.element = ui.element("q-uploader").classes("off").props("auto-upload")
        self.element.props["url"] = f"/_nicegui/client/{self.element.client.id}/upload/{self.id}"
        self.element.props["max-file-size"] = limits.bytes
        self.element.props["accept"] = ACCEPTED
        self.element.on(
            "rejected",
            self._reject,
            js_handler="(refused) => emit(refused[0].failedPropValidation, refused[0].file.name, refused[0].file.size)",
        )
        # Clearing it from here could abort a request that is answered but not yet closed, and report it as failed.
        self.element.on("finish", js_handler=f"() => getElement({self.id}).reset()")
        self.element.on("failed", self._unsent, js_handler="(failed) => emit(failed.xhr?.status)")

    @property
    def id(self) -> int:
        return self.element.id

    def button(self, label: str) -> ui.button:
        """A button that opens the browser's dialog, which it does only in answer to a click."""
        button = ui.button(label, icon="add_photo_alternate").props("unelevated no-caps")
        button.props["aria-label"] = label
        return button.on("click", js_handler=f"() => getElement({self.id}).pickFiles()")

    def _reject(self, event: events.GenericEventArguments) -> None:
        match event.args:
            case ["max-file-size", str(name), int(size)]:
                self._complain(too_large(name, size, self._limits))
            case [_, str(name), _]:
                self._complain(f"{plain_name(name)} cannot be taken; choose one photograph: {TAKEN}")

    def _unsent(self, event: events.GenericEventArguments) -> None:
        status = event.args if isinstance(event.args, int) else 0  # what else comes is no browser's
        self._complain(UNSENT.get(status, "the photograph could not be sent; try it again"))
