"""One face in a video: what every frame says alone becomes one identity and a smooth path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from mofa3d.camera import Camera
from mofa3d.data.crop_transform import CropTransform
from mofa3d.decoder import Decoder
from mofa3d.reconstruction.video.head_motion import path_of
from mofa3d.reconstruction.video.shared_identity import shared_identity, with_shape
from mofa3d.reconstruction.video.smoothing import Run, SmoothingConfig, bridged, jitter, smoothed
from mofa3d.reconstruction.video.tracking import Sighting, sampled
from mofa3d.semantic_code import SemanticCode


@dataclass(frozen=True)
class VideoFace:
    """A face in the K frames of a video that show it.

    Attributes:
        frames: (K,) their numbers from 0, increasing.
        seen: (K,) False where the face was not found and the frame was bridged.
        runs: (K,) frames of the same number were smoothed together.
        codes: a batch of K with one identity.
        transforms: from each frame to the crop that its code belongs to.
        landmarks: (K, 68, 2) projected iBUG points, pixels of the frame.
    """

    frames: Int[np.ndarray, "K"]
    seen: Bool[np.ndarray, "K"]
    runs: Int[np.ndarray, "K"]
    codes: SemanticCode
    transforms: list[CropTransform]
    landmarks: Float[np.ndarray, "K 68 2"]


@dataclass(frozen=True)
class Jitter:
    """Mean absolute second difference over time of the 68 projected landmarks, pixels of the video.

    Attributes:
        per_frame: of what every frame says alone, in the tracker's crops.
        smoothed: of the result, over the same frames.
    """

    per_frame: float
    smoothed: float

    @property
    def ratio(self) -> float:
        """Smoothed over per-frame; NaN where there is nothing to compare."""
        return self.smoothed / self.per_frame if self.per_frame > 0 else float("nan")


def face_of(sightings: list[Sighting], decode: Decoder, rate: float, config: SmoothingConfig) -> VideoFace:
    """One identity for all sightings, and a smooth path through their frames and the short gaps between them.

    Args:
        sightings: of one person, one or more, in the order of their frames.
        decode: gives face model and camera.
        rate: frames per second.
        config: how much is smoothed.
    """
    model, camera = sampled(decode.model).cpu(), decode.camera
    own = SemanticCode.from_vector(torch.cat([sighting.code.to_vector() for sighting in sightings]), model.sizes)
    shape, reflectance = shared_identity(own)
    path = path_of(with_shape(own, shape, model, camera), [sighting.transform for sighting in sightings], camera)
    frames, tracks = (np.array([getattr(each, name) for each in sightings]) for name in ("frame", "track"))
    runs = bridged(path, frames, tracks, round(config.bridge * rate))
    paths = [smoothed(run.path, rate, config) for run in runs]
    parts = [each.codes(camera, shape, reflectance) for each in paths]
    codes = SemanticCode.from_vector(torch.cat([each.to_vector() for each in parts]), model.sizes)
    transforms = [transform for each in paths for transform in each.transforms(camera)]
    return VideoFace(
        frames=np.concatenate([run.frames for run in runs]),
        seen=np.concatenate([run.seen for run in runs]),
        runs=_numbers(runs),
        codes=codes,
        transforms=transforms,
        landmarks=_landmarks(codes, transforms, Decoder(model, camera)),
    )


def _numbers(runs: list[Run]) -> Int[np.ndarray, "K"]:
    return np.repeat(np.arange(len(runs)), [len(run.frames) for run in runs])


@torch.no_grad()
def _landmarks(
    codes: SemanticCode, transforms: list[CropTransform], decode: Decoder, batch: int = 64
) -> Float[np.ndarray, "K 68 2"]:
    points = [decode(codes[slice(k, k + batch)]).landmarks for k in range(0, len(codes), batch)]
    in_crops = torch.cat(points).double().numpy()
    return np.stack([each.to_photo(crop) for each, crop in zip(transforms, in_crops, strict=True)])


def compare_jitter(sightings: list[Sighting], face: VideoFace) -> Jitter:
    """How much a face trembles by every frame alone and in the result, over frames in which it was found."""
    alone = np.stack([sighting.landmarks for sighting in sightings])
    together = face.landmarks[face.seen]
    # A jump from one track to another, as at a cut, is no trembling: a number between their frames is left out.
    apart = face.frames[face.seen] + face.runs[face.seen]
    return Jitter(jitter(alone, apart), jitter(together, apart))


def in_one_camera(face: VideoFace, camera: Camera, width: int, height: int) -> SemanticCode:
    """The face's codes with translations through the space before a camera that does not move, for animations."""
    path = path_of(face.codes, face.transforms, camera)
    return path.in_one_camera(face.codes, camera, np.array([width / 2, height / 2]))
