"""Follow a face from frame to frame of a video by its dense landmarks, and by the encoder where these are not seen.

A detector is slow and its square trembles. So it is asked at the start, every so often, and when the face is lost. In
between, the network of the dense landmarks looks where the frame before had them, as MediaPipe does, and the crop is
that of photographs. Where it sees no face, as in profile, the crop is the similarity that lays the landmarks of the
encoder's last answer on the projected mean face, as the crops of photographs were calibrated (`mofa3d.data.crop`), and
the encoder looks once more, at the crop that its own answer gives. That alone would drift: each crop has the error of
the answer before.

A face counts as lost when the photometric error of its code, which on background is far higher than on a face, rises
well above what it was when the face was found, or when the crop leaves the frame or changes its size at once. A
detector that does not see the face proves nothing, because faces turn away: the face is then lost if the error is high
too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mofa3d import metrics
from mofa3d.data.crop import crop_face, face_in_crop
from mofa3d.data.crop_transform import CropTransform
from mofa3d.data.detect import detect_faces
from mofa3d.data.face_landmarker import PRESENT, DenseLandmarks, read_region, region_around
from mofa3d.data.found_face import FoundFace
from mofa3d.data.landmarks_478 import steadied
from mofa3d.data.locate import locate
from mofa3d.data.photo import Photo, to_tensor
from mofa3d.decoder import Decoder
from mofa3d.errors import InputError
from mofa3d.fitting.color_fit import ColorFit
from mofa3d.losses import LANDMARKS_46
from mofa3d.morphable_model import MorphableModel
from mofa3d.reconstruction.reconstructor import Reconstructor
from mofa3d.scene import Rendering
from mofa3d.semantic_code import SemanticCode

SAMPLES = 400  # about so many vertices tell the photometric error
SAME_FACE = 0.4  # overlap of two boxes of one face; half a face's width apart, they have 0.33
SMALLEST = 1.0  # pixels of the frame that its landmarks must be apart
MOST_RESIZING = 1.3  # of a face from one frame to the next


@dataclass(frozen=True)
class TrackingConfig:
    """When the detector is asked.

    Attributes:
        detect_every: frames between two detections while a face is followed.
        search_every: frames between two detections while there is no face.
        high_error: photometric error below which no face is lost; it is about 0.1 on faces, and 0.25 or more on
            background.
        error_ratio: a face is lost when its error is so many times what it was when it was found.
    """

    detect_every: int = 25
    search_every: int = 3
    high_error: float = 0.2
    error_ratio: float = 1.5

    def __post_init__(self) -> None:
        if self.detect_every < 1 or self.search_every < 1:
            raise InputError(
                f"detections are at least 1 frame apart, got detect_every {self.detect_every} and search_every "
                f"{self.search_every}"
            )


@dataclass(frozen=True)
class Sighting:
    """The face in one frame, by this frame alone.

    Attributes:
        frame: its number, from 0.
        track: changes where the face is found at another place than before, as after a cut.
        transform: from the frame to the crop.
        code: a batch of one.
        landmarks: projected iBUG points, pixels of the frame.
        error: photometric, 0 to √3, of the code as predicted.
    """

    frame: int
    track: int
    transform: CropTransform
    code: SemanticCode
    landmarks: Float[np.ndarray, "68 2"]
    error: float

    @property
    def seen(self) -> bool:
        """Whether all numbers are finite."""
        return bool(np.isfinite(self.landmarks).all() and np.isfinite(self.error))


class FaceTracker:
    """Follows the most prominent face of a video; call it with one frame after the other.

    Args:
        reconstructor: gives encoder and face model, and if it refines anything, colors are fitted to each frame.
        config: when the detector is asked.
    """

    def __init__(self, reconstructor: Reconstructor, config: TrackingConfig | None = None) -> None:
        self.config = config or TrackingConfig()
        self.encode, self.device = reconstructor.encode, reconstructor.device
        model, camera = reconstructor.decode.model, reconstructor.decode.camera
        self.decode = Decoder(sampled(model), camera).to(self.device)
        # As of photographs, but to fewer vertices: over the frames of a video, their errors cancel out.
        self.fit_colors = None if reconstructor.refine is None else ColorFit(self.decode, every=1)
        mean = self.decode(SemanticCode.zeros(1, model.sizes, device=self.device)).landmarks[0]
        self.target = mean[list(LANDMARKS_46)].double().cpu().numpy()
        self.last: Sighting | None = None  # in the frame before
        self.region: CropTransform | None = None  # where the next frame's dense landmarks should be
        self.place: FoundFace | None = None  # where it was seen last
        self.track = -1
        self.found_error = 0.0
        self.next_detection = 0

    @torch.no_grad()
    def __call__(self, number: int, photo: Photo) -> Sighting | None:
        """What the next frame, of this number, shows; ``None`` where no face is found."""
        sighting = None
        due = number >= self.next_detection
        if self.last is not None:
            sighting = self._followed(number, photo, self.last)
        if due or (self.last is not None and sighting is None):
            sighting = self._checked(number, photo, sighting)
            wait = self.config.detect_every if sighting is not None else self.config.search_every
            self.next_detection = number + wait
        self.last = sighting
        if sighting is not None:
            self.place = self._box(sighting)
        return sighting

    def _followed(self, number: int, photo: Photo, last: Sighting) -> Sighting | None:
        box = self._box(last)
        if box is None:
            return None
        sighting = self._look(number, photo, box, self._points(photo, box))
        lost = (
            sighting is None
            or sighting.error > max(self.config.high_error, self.config.error_ratio * self.found_error)
            or not self._is_plausible(sighting, box, photo)
        )
        return None if lost else sighting

    def _is_plausible(self, sighting: Sighting, before: FoundFace, photo: Photo) -> bool:
        box = self._box(sighting)
        height, width = photo.shape[:2]
        return (
            box is not None
            and 1 / MOST_RESIZING < box.size / before.size < MOST_RESIZING
            and 0 <= box.x <= width
            and 0 <= box.y <= height
        )

    def _checked(self, number: int, photo: Photo, sighting: Sighting | None) -> Sighting | None:
        """The same sighting if the detector agrees or proves nothing, else what the detector finds."""
        boxes = detect_faces(photo)
        if sighting is not None:
            box = self._box(sighting)
            agreed = box is not None and any(box.overlap(other) >= SAME_FACE for other in boxes)
            if agreed or sighting.error <= self.config.high_error:
                return sighting
        before = self.place

        def overlap(box: FoundFace) -> float:
            return 0.0 if before is None else box.overlap(before)

        # The face that was seen last, or else the most prominent one, which comes first.
        for box in sorted(boxes, key=overlap, reverse=True):
            located = locate(photo, box)
            if located.doubt is None or not located.doubt.refused:
                new = overlap(box) < SAME_FACE
                sighting = self._look(number, photo, located.face, located.dense, new_track=new)
                self.found_error = np.inf if sighting is None else sighting.error
                return sighting
        return None

    def _points(self, photo: Photo, box: FoundFace) -> DenseLandmarks | None:
        """The dense landmarks of the face in this frame, if the network is sure that it sees one."""
        if self.region is None:
            return locate(photo, box).dense
        dense = read_region(photo, self.region)
        return dense if dense.presence >= PRESENT else None

    def _look(
        self, number: int, photo: Photo, box: FoundFace, dense: DenseLandmarks | None, new_track: bool = False
    ) -> Sighting | None:
        """Encode the crop of the dense landmarks; without them, a crop, and then the crop that the answer gives.

        Colors are those of the last crop.
        """
        track = self.track + new_track
        box = box if dense is None else steadied(box, dense.points)
        self.region = None if dense is None else region_around(dense.points)
        for _ in range(2 if dense is None else 1):
            image, transform = self._crop(photo, box)
            sighting = self._sighting(number, track, image, transform)
            box = self._box(sighting)
            if box is None:
                return None
        self.track = track
        return sighting if self.fit_colors is None else replace(sighting, code=self.fit_colors(sighting.code, image))

    def _crop(self, photo: Photo, box: FoundFace) -> tuple[Float[Tensor, "1 3 S S"], CropTransform]:
        pixels, transform = crop_face(photo, box, self.decode.camera.image_size)
        return to_tensor(pixels).to(self.device)[None], transform

    def _sighting(self, number: int, track: int, image: Float[Tensor, "1 3 S S"], transform: CropTransform) -> Sighting:
        code = SemanticCode.from_vector(self.encode(image), self.decode.model.sizes)
        scene = self.decode(code)
        counted = (scene.front_facing & scene.frontal).to(scene.colors.dtype)
        rendering = Rendering(positions=scene.pixels, colors=scene.colors, weights=counted)
        error = float(metrics.photometric_error(rendering, image))
        landmarks = transform.to_photo(scene.landmarks[0].double().cpu().numpy())
        return Sighting(number, track, transform, code, landmarks, error)

    def _box(self, sighting: Sighting) -> FoundFace | None:
        """The face whose crop lays the landmarks on the projected mean face; ``None`` if there is none."""
        if not sighting.seen:
            return None
        points = sighting.landmarks[list(LANDMARKS_46)]
        if np.ptp(points, axis=0).max() < SMALLEST:
            return None
        face = face_in_crop(CropTransform.between(points, self.target), self.decode.camera.image_size)
        return face if face.size > 1 else None


def sampled(model: MorphableModel, count: int = SAMPLES) -> MorphableModel:
    """A model with about `count` of the frontal vertices, what their normals need, and the landmarks."""
    keep = torch.zeros_like(model.frontal)
    frontal = model.frontal.nonzero().flatten()
    keep[frontal[:: max(1, len(frontal) // count)]] = True
    return model.restrict(keep)
