"""What one visitor has uploaded and changed. Every visitor has a session of their own, and knows of no other."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch

from mofa3d.errors import InputError
from mofa3d.reconstruction.reconstructor import Reconstruction
from mofa3d.viewer import drawing, mesh_data
from mofa3d.viewer.face_edits import FaceEdits
from mofa3d.viewer.refining import refined
from mofa3d.viewer.sliders import Slider, edited, reach, resting
from mofa3d.viewer.tools import Tools
from mofa3d.viewer.upload import Upload, open_upload


@dataclass
class Chosen:
    """How the page shows a face.

    Attributes:
        picture: one of `mofa3d.viewer.drawing.PICTURES`.
        look: one of `mofa3d.viewer.mesh_data.LOOKS`.
        wireframe: whether the triangles' edges are drawn.
        wipe: whether the photograph covers the left half of the picture.
    """

    picture: str = "overlay"
    look: str = "texture"
    wireframe: bool = False
    wipe: bool = False


@dataclass
class Face:
    """A face of the photograph, and what becomes of it.

    Attributes:
        estimate: as it was found.
        refined: the same fitted more closely, once that was asked for.
        edits: the visitor's.
        textures: JPEG files of the estimate's and the refined face's textures, made when they are first asked for.
    """

    estimate: Reconstruction
    refined: Reconstruction | None = None
    edits: FaceEdits = field(default_factory=FaceEdits)
    textures: dict[bool, bytes] = field(default_factory=dict)

    @property
    def start(self) -> Reconstruction:
        """What the sliders start from."""
        return self.refined if self.edits.now.refined and self.refined is not None else self.estimate


class Session:
    """A visitor's photograph, the faces in it, and where their sliders stand.

    Methods may be called from several threads.

    Attributes:
        version: changes whenever what is to be seen does.
        number: of the photograph, among those that the visitor has sent.
        chosen: number of the face that is looked at.
        shown: how.
        closed: whether the visitor has gone.
    """

    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self.version = self.number = self.chosen = 0
        self.shown = Chosen()
        self.closed = False
        self._upload: Upload | None = None
        self._faces: list[Face] = []
        self._drawn: tuple[int, Reconstruction] | None = None
        self._lock = threading.RLock()

    def open(self, content: bytes, name: str) -> None:
        """Take a photograph in place of the one before, which stays if this one is of no use.

        Raises:
            InputError: it cannot be read, or shows no face.
        """
        with self.tools.one_at_a_time:
            if self.closed:
                return
            upload = open_upload(content, name, self.tools.limits, self.tools.reconstruct)
        with self._lock:
            if self.closed:
                return
            self._upload = upload
            self._faces = [Face(found) for found in upload.faces]
            self.chosen = 0
            self.number += 1
            self.version += 1

    def close(self) -> None:
        """Forget everything, also what is still being looked at."""
        with self._lock:
            self.closed = True
            self._upload = self._drawn = None
            self._faces = []
            self.chosen = 0

    @property
    def upload(self) -> Upload:
        """Raises InputError before the first photograph."""
        if self._upload is None:
            raise InputError("there is no photograph yet; choose one")
        return self._upload

    @property
    def has_photograph(self) -> bool:
        return self._upload is not None

    @property
    def now(self) -> Face:
        """The chosen face; raises InputError before the first photograph."""
        if not self._faces:
            raise InputError("there is no photograph yet; choose one")
        return self._faces[self.chosen]

    @property
    def moved(self) -> Mapping[str, float]:
        """The sliders of the chosen face that were moved."""
        return self.now.edits.now.moved

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
        self._change(lambda edits: edits.move(slider.name, min(max(float(value), low), high)))

    def settle(self) -> None:
        """The slider was let go: the next movement is another step."""
        self.now.edits.settle()

    def reset(self) -> None:
        """Go back to the estimate for the chosen face."""
        self._change(FaceEdits.clear)

    def undo(self) -> None:
        """Take back the last step at the chosen face."""
        self._change(FaceEdits.undo)

    def redo(self) -> None:
        """Take that step again."""
        self._change(FaceEdits.redo)

    def refine(self, on: bool) -> None:
        """Fit the chosen face to its photograph more closely, or go back to the estimate; the sliders stay moved."""
        face = self.now
        if on and face.refined is None:
            with self.tools.one_at_a_time:
                face.refined = refined(self.upload.photo, face.estimate, self.tools)
        with self._lock:
            if not self.closed:
                face.edits.refine(on)
                self.version += 1

    def _change(self, step: Callable[[FaceEdits], object]) -> None:
        with self._lock:
            step(self.now.edits)
            self.version += 1

    def rest(self, slider: Slider) -> float:
        """Where a slider of the chosen face stands before it is moved."""
        return resting(slider, self.now.start.code)

    def value(self, slider: Slider) -> float:
        """Where a slider of the chosen face stands."""
        return self.moved.get(slider.name, self.rest(slider))

    def face(self) -> Reconstruction:
        """The chosen face as the sliders say."""
        with self._lock:
            if self._drawn is None or self._drawn[0] != self.version:
                start, tools = self.now.start, self.tools
                code = edited(start.code, self.moved, tools.units, start.transform.roll, tools.measures)
                with torch.no_grad():
                    scene = tools.decode(code)
                self._drawn = self.version, replace(start, code=code, scene=scene)
            return self._drawn[1]

    def picture(self, kind: str = "overlay", full: bool = False) -> bytes:
        """The photograph as JPEG in one of `mofa3d.viewer.drawing.PICTURES`.

        Args:
            full: in all its pixels, instead of as many as the page shows at first.
        """
        with self._lock:
            upload, start, found = self.upload, self.now.start, self.face()
        photo = upload.photo if full else upload.shown
        return drawing.jpeg(drawing.picture(kind, photo, upload.width, start, found, self.tools))

    def thumbnail(self, number: int) -> bytes:
        """A small picture of a face as JPEG.

        Raises:
            InputError: there are not so many.
        """
        if not 0 <= number < len(self.upload.faces):
            raise InputError(f"there is no face {number + 1}")
        return drawing.thumbnail(self.upload.faces[number])

    def vertices(self, look: str) -> bytes:
        """The chosen face for the 3D view; see `mofa3d.viewer.mesh_data.vertex_bytes`."""
        with self._lock:
            start, found = self.now.start, self.face()
        return mesh_data.vertex_bytes(found.scene, start.scene, look, self.tools.layout)

    @property
    def texture_name(self) -> str:
        """Of the texture that goes with the vertices; another one has another name."""
        return f"{self.number}-{self.chosen}-{int(self.now.edits.now.refined)}"

    def texture(self) -> bytes:
        """The chosen face's reflectance as the photograph shows it, a JPEG file."""
        with self._lock:
            face, upload = self.now, self.upload
            start, key = face.start, face.edits.now.refined
        if key not in face.textures:
            with self.tools.one_at_a_time:
                face.textures[key] = drawing.texture(upload.photo, start, self.tools.textures)
        return face.textures[key]

    def file(self, name: str) -> bytes:
        """One of `mofa3d.viewer.downloads.FILES` about the chosen face.

        Raises:
            InputError: no such file, or no photograph yet.
        """
        with self._lock:
            upload, found = self.upload, self.face()
        with self.tools.one_at_a_time:
            return self.tools.download(name, upload.photo, upload.name, found)
