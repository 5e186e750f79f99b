"""What one visitor has uploaded and changed. Every visitor has a session of their own, and knows of no other."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import UInt8

from mofa3d.data.photo import Photo
from mofa3d.errors import InputError
from mofa3d.models.expression_units import Units, expression_units
from mofa3d.reconstruction.reconstructor import Reconstruction, Reconstructor
from mofa3d.scene import Renderer
from mofa3d.viewer import drawing
from mofa3d.viewer.downloads import Downloads
from mofa3d.viewer.sliders import Group, Slider, edited, reach, resting, slider_groups
from mofa3d.viewer.uploads import Limits, plain_name, read_upload


@dataclass(frozen=True)
class Tools:
    """What all sessions share.

    Attributes:
        reconstruct: finds faces.
        render: as in `mofa3d.reconstruction.reconstructor.lay_over`.
        download: makes files.
        limits: on uploads.
    """

    reconstruct: Reconstructor
    render: Renderer
    download: Downloads
    limits: Limits = field(default_factory=Limits)
    # Many photographs must not share two cores, nor the memory.
    one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    @cached_property
    def units(self) -> Units:
        """Of the face model's expressions."""
        return expression_units(self.reconstruct.decode.model)

    def groups(self) -> tuple[Group, ...]:
        """The sliders for the face model."""
        return slider_groups(self.reconstruct.decode.model.sizes, self.units)


@dataclass(frozen=True)
class Upload:
    """A photograph with at least one face.

    Attributes:
        name: what the visitor calls it.
        content: of the file; an unpacked photograph takes ten times the memory, and many pages may be open.
        limits: it was read within these.
        width, height: pixels.
        shown: as large as the page shows it.
        faces: the best first.
    """

    name: str
    content: bytes
    limits: Limits
    width: int
    height: int
    shown: UInt8[np.ndarray, "height width 3"]
    faces: tuple[Reconstruction, ...]

    @property
    def photo(self) -> Photo:
        """The whole of it, unpacked again at every call."""
        return read_upload(self.content, self.name, self.limits)


class Session:
    """A visitor's photograph, the faces in it, and where their sliders stand.

    Methods may be called from several threads.
    """

    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self.version = 0  # changes whenever what is to be seen does
        self.chosen = 0
        self.closed = False
        self._upload: Upload | None = None
        self._moved: list[dict[str, float]] = []  # for each face, the sliders that were moved
        self._drawn: tuple[int, Reconstruction] | None = None
        self._lock = threading.RLock()

    def open(self, content: bytes, name: str) -> None:
        """Take a photograph in place of the one before, which stays if this one is of no use.

        Raises:
            InputError: it cannot be read, or shows no face.
        """
        limits = self.tools.limits
        with self.tools.one_at_a_time:
            if self.closed:
                return
            photo = read_upload(content, name, limits)
            try:
                faces = tuple(self.tools.reconstruct(photo, every_face=True)[: limits.faces])
            except InputError as error:
                raise InputError(f"{plain_name(name)}: {error}") from None
        height, width = photo.shape[:2]
        with self._lock:
            if self.closed:
                return
            shown = drawing.shown_size(photo)
            self._upload = Upload(plain_name(name), content, limits, width, height, shown, faces)
            self._moved = [{} for _ in faces]
            self.chosen = 0
            self.version += 1

    def close(self) -> None:
        """Forget everything, also what is still being looked at."""
        with self._lock:
            self.closed = True
            self._upload = self._drawn = None
            self._moved = []
            self.chosen = 0

    @property
    def upload(self) -> Upload:
        """Raises InputError before the first photograph."""
        if self._upload is None:
            raise InputError("there is no photograph yet; choose one")
        return self._upload

    @property
    def moved(self) -> dict[str, float]:
        """The sliders of the chosen face that were moved."""
        return self._moved[self.chosen]

    def choose(self, number: int) -> None:
        """Look at another face; what was changed at the one before stays.

        Raises:
            InputError: there are not so many.
        """
        if not 0 <= number < len(self.upload.faces):
            raise InputError(f"there is no face {number + 1}; the photograph shows {len(self.upload.faces)}")
        with self._lock:
            self.chosen = number
            self.version += 1

    def move(self, slider: Slider, value: object) -> None:
        """Move a slider of the chosen face; values beyond its ends are taken as the end.

        Raises:
            InputError: no number.
        """
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            raise InputError(f"{slider.label}: {value!r} is no number")
        low, high = reach(slider, self.rest(slider))
        with self._lock:
            self.moved[slider.name] = min(max(float(value), low), high)
            self.version += 1

    def reset(self) -> None:
        """Go back to the estimate for the chosen face."""
        with self._lock:
            self.moved.clear()
            self.version += 1

    def rest(self, slider: Slider) -> float:
        """Where a slider of the chosen face stands before it is moved."""
        return resting(slider, self.upload.faces[self.chosen].code)

    def value(self, slider: Slider) -> float:
        """Where a slider of the chosen face stands."""
        return self.moved.get(slider.name, self.rest(slider))

    def face(self) -> Reconstruction:
        """The chosen face as the sliders say."""
        with self._lock:
            if self._drawn is None or self._drawn[0] != self.version:
                estimate = self.upload.faces[self.chosen]
                code = edited(estimate.code, self.moved, self.tools.units, estimate.transform.roll)
                with torch.no_grad():
                    scene = self.tools.reconstruct.decode(code)
                self._drawn = self.version, replace(estimate, code=code, scene=scene)
            return self._drawn[1]

    def picture(self, overlay: bool = True) -> bytes:
        """The photograph as JPEG, with the chosen face over it or, if there are several faces, with their frames."""
        with self._lock:
            upload, found, chosen = self.upload, self.face(), self.chosen
        if overlay:
            return drawing.jpeg(drawing.over_photograph(upload.shown, upload.width, found, self.tools.render))
        if len(upload.faces) == 1:
            return drawing.jpeg(upload.shown)
        boxes = [face.box for face in upload.faces]
        return drawing.jpeg(drawing.framed(upload.shown, upload.width, boxes, chosen))

    def vertices(self, look: str) -> bytes:
        """The chosen face for the 3D view; see `mofa3d.viewer.drawing.vertex_bytes`."""
        return drawing.vertex_bytes(self.face().scene, look)

    def file(self, name: str) -> bytes:
        """One of `mofa3d.viewer.downloads.FILES` about the chosen face.

        Raises:
            InputError: no such file, or no photograph yet.
        """
        with self._lock:
            upload, found = self.upload, self.face()
        with self.tools.one_at_a_time:
            return self.tools.download(name, upload.photo, upload.name, found)
