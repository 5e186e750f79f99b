"""What one visitor has uploaded and changed. Every visitor has a session of their own, and knows of no other."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch

from mofa3d.errors import InputError
from mofa3d.reconstruction.reconstructor import Reconstruction
from mofa3d.viewer import drawing
from mofa3d.viewer.face_edits import FaceEdits
from mofa3d.viewer.face_view import FaceView
from mofa3d.viewer.refining import refined
from mofa3d.viewer.sliders import Slider, aimed, edited, reach, resting
from mofa3d.viewer.tools import Tools
from mofa3d.viewer.upload import Upload, open_upload
from mofa3d.viewer.video_job import VideoJob

NOTHING = "there is no photograph yet; choose one"


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
    """

    estimate: Reconstruction
    refined: Reconstruction | None = None
    edits: FaceEdits = field(default_factory=FaceEdits)

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
        beside: a face that was put aside, to be looked at beside the others.
        video: that is being reconstructed, or was.
        closed: whether the visitor has gone.
    """

    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self.version = self.number = self.chosen = 0
        self.shown = Chosen()
        self.beside: FaceView | None = None
        self.video: VideoJob | None = None
        self.closed = False
        self._upload: Upload | None = None
        self._faces: list[Face] = []
        self._textures: dict[str, bytes] = {}
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
            self._textures = {}
            self.chosen = 0
            self.number += 1
            self.version += 1

    def start_video(self, content: bytes, name: str) -> None:
        """Begin to reconstruct a video in place of the one before."""
        self.drop_video()
        with self._lock:
            if not self.closed:
                self.video = VideoJob(content, name, self.tools)

    def drop_video(self) -> None:
        """End and forget the video."""
        with self._lock:
            video, self.video = self.video, None
        if video is not None:
            video.stop()

    def close(self) -> None:
        """Forget everything, also what is still being looked at."""
        self.drop_video()
        with self._lock:
            self.closed = True
            self._upload = self._drawn = self.beside = None
            self._faces, self._textures = [], {}
            self.chosen = 0

    @property
    def has_photograph(self) -> bool:
        return self._upload is not None

    @property
    def is_empty(self) -> bool:
        """Whether nothing would be lost with it."""
        return self._upload is None and self.video is None

    @property
    def upload(self) -> Upload:
        """Raises InputError before the first photograph."""
        if self._upload is None:
            raise InputError(NOTHING)
        return self._upload

    @property
    def now(self) -> Face:
        """The chosen face; raises InputError before the first photograph."""
        if not self._faces:
            raise InputError(NOTHING)
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
        self._check(number)
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

    def aim(self, right: float, up: float) -> None:
        """Let a lamp shine on the chosen face; see `mofa3d.viewer.sliders.aimed`."""
        self._change(lambda edits: edits.move_together(aimed(right, up, edits.now.moved), "aim"))

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
        face, upload = self.now, self.upload
        if on and face.refined is None:
            with self.tools.one_at_a_time:
                face.refined = refined(upload.photo, face.estimate, self.tools)
        with self._lock:
            if not self.closed:
                face.edits.refine(on)
                self.version += 1

    def put_aside(self, on: bool) -> None:
        """Keep the face as it is now to be looked at beside others, or put it away."""
        view = self.view() if on else None
        with self._lock:
            if not self.closed:
                self.beside = view
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

    def view(self, beside: bool = False) -> FaceView:
        """The chosen face as it is now, or the one that was put aside.

        Raises:
            InputError: there is none.
        """
        with self._lock:
            if beside:
                if self.beside is None:
                    raise InputError("no face was put aside")
                return self.beside
            name = f"{self.number}-{self.chosen}-{int(self.now.edits.now.refined)}"
            start, found = self.now.start, self.face()
            return FaceView(self.tools, self.upload, self.chosen, start, found, name, self._textures)

    def thumbnail(self, number: int) -> bytes:
        """A small picture of a face as JPEG.

        Raises:
            InputError: there are not so many.
        """
        self._check(number)
        return drawing.thumbnail(self.upload.faces[number])

    def _check(self, number: int) -> None:
        if not 0 <= number < len(self.upload.faces):
            raise InputError(f"there is no face {number + 1}; the photograph shows {len(self.upload.faces)}")

    def _change(self, step: Callable[[FaceEdits], object]) -> None:
        with self._lock:
            step(self.now.edits)
            self.version += 1
