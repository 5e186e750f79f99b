"""From a video to one face that moves, as files: a film, codes, a mesh with an animation, and a summary.

The video is read twice, frame by frame. The first time a tracker writes down a code for every frame (two kilobytes
each); the second time the smoothed face is laid over the frames.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from tqdm import tqdm

from mofa3d.data.sources import Reader
from mofa3d.data.video import TimedFrame, VideoInfo
from mofa3d.errors import InputError
from mofa3d.export.gltf import write_glb
from mofa3d.export.morphs import expression_targets, movement
from mofa3d.export.video import codec, film_writer
from mofa3d.files.whole import without_nan, write_text
from mofa3d.morphable_model import MorphableModel
from mofa3d.reconstruction.reconstructor import Reconstructor
from mofa3d.reconstruction.video.film import FaceFilm
from mofa3d.reconstruction.video.moving_face import Jitter, VideoFace, compare_jitter, face_of, in_one_camera
from mofa3d.reconstruction.video.smoothing import SmoothingConfig
from mofa3d.reconstruction.video.tracking import FaceTracker, Sighting, TrackingConfig
from mofa3d.scene import Renderer
from mofa3d.semantic_code import SemanticCode

_LOG = logging.getLogger(__name__)
FILM, CODES, MESH, SUMMARY = "overlay.mp4", "codes.npz", "mesh.glb", "summary.json"
SAME_RATE = 0.01  # relative difference
CUT_OFF = 1.0  # seconds by which pictures may end before their file, whose sound may be longer
DEFINITIONS = {
    "frames": "numbers of frames count from 0",
    "bridged": "frames in which the face was not found, and whose codes are interpolated",
    "without_face": "frames in which the face was not found and that have no code, as [first, last]",
    "jitter": "mean absolute second difference over time of the 68 projected landmarks, in pixels of the video; "
    "per_frame: by every frame alone; smoothed: of the result, over the same frames; ratio: smoothed / per_frame",
    "rate": "frames per second of the video, on average; the time of each frame is in codes.npz",
    "damage": "what is missing of the video, as far as its header and its decoder tell",
    "frames_per_second": "of the whole computation, reading and writing included",
}


@dataclass(frozen=True)
class VideoOptions:
    """How a video is reconstructed.

    Attributes:
        tracking: when the detector is asked.
        smoothing: how much is smoothed.
        geometry: whether the film has a third picture, with the surface in clay.
        max_side: longer side of one of the film's pictures, pixels; larger frames are made smaller.
        morph_targets: how many expressions the mesh has; the animation moves them.
        progress: whether progress bars are shown.
    """

    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)
    geometry: bool = True
    max_side: int = 640
    morph_targets: int = 20
    progress: bool = True

    def __post_init__(self) -> None:
        if self.max_side < 2:
            raise InputError(f"max_side must be at least 2 pixels, got {self.max_side}")


@dataclass(frozen=True)
class VideoSummary:
    """What became of a video; `DEFINITIONS` says what the numbers are.

    Attributes:
        video: the file.
        width, height: of its frames, pixels.
        rate: frames per second, on average.
        frames: that were read.
        announced: by the file's header; more than were read if it is damaged.
        damage: what is missing of it, in words; or "".
        found: frames in which the face was found.
        bridged: numbers of the frames that were interpolated.
        without_face: first and last number of stretches that were left out.
        tracks: how often the face was found at a new place, as after a cut.
        jitter: per frame and smoothed, pixels.
        seconds: that it took.
        frames_per_second: that were processed.
        codec: of the film.
    """

    video: str
    width: int
    height: int
    rate: float
    frames: int
    announced: int
    damage: str
    found: int
    bridged: tuple[int, ...]
    without_face: tuple[tuple[int, int], ...]
    tracks: int
    jitter: Jitter
    seconds: float
    frames_per_second: float
    codec: str


def reconstruct_video(
    path: Path,
    reconstructor: Reconstructor,
    render: Renderer,
    out: Path,
    options: VideoOptions | None = None,
    reader: Reader | None = None,
) -> VideoSummary:
    """Reconstruct the most prominent face of a video; nothing is in the folder before everything is done.

    It writes ``overlay.mp4`` (photograph, overlay, geometry; at the video's times), ``codes.npz`` (see `write_codes`),
    ``mesh.glb`` (the identity with the video's expressions and head movement as an animation) and, last,
    ``summary.json``. All tracks of a video are taken for one person.

    Args:
        path: the video.
        reconstructor: encoder and face model.
        render: a raster backend with a black background, as `make_renderer("cpu")`.
        out: the folder for the results.
        options: how.
        reader: reads the video.

    Raises:
        InputError: the file is no video, or no face is found in it.
    """
    options, reader = options or VideoOptions(), reader or Reader()
    expression_targets(reconstructor.decode.model, options.morph_targets)  # a wrong number is said at once
    start = time.perf_counter()
    info = reader.info(path)
    seen = _track(reader.frames(path), info, reconstructor, options)
    count, sightings = len(seen.times), seen.sightings
    if not sightings:
        raise InputError(
            f"no face was found in the {count} frames of {path}; give a video with a clear, roughly frontal face"
        )
    damage = _damage(info, seen)
    if damage:
        _LOG.warning("%s is damaged: %s", path, damage)
    info = replace(info, rate=_rate(info, seen.times))
    face = face_of(sightings, reconstructor.decode, info.rate, options.smoothing)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        unfinished = Path(folder)
        size = (info.width, info.height, options.max_side)
        film = FaceFilm(face, reconstructor.decode, render, *size, options.geometry)
        pictures = film.draw(frame.photo for frame in reader.frames(path))
        shown = tqdm(pictures, "drawing", total=count, unit="frame", disable=not options.progress)
        with film_writer(unfinished / FILM, *film.size, info.rate) as write:
            for picture, at in zip(shown, seen.times.tolist(), strict=True):
                write(picture, at)
        write_codes(unfinished / CODES, face, info, seen.times)
        _write_mesh(unfinished / MESH, face, info, seen.times, reconstructor, options.morph_targets)
        jitter = compare_jitter(sightings, face)
        seconds = time.perf_counter() - start
        summary = VideoSummary(
            video=str(path),
            width=info.width,
            height=info.height,
            rate=info.rate,
            frames=count,
            announced=info.announced,
            damage=damage,
            found=len(sightings),
            bridged=tuple(face.frames[~face.seen].tolist()),
            without_face=_stretches(count, face.frames),
            tracks=len({sighting.track for sighting in sightings}),
            jitter=jitter,
            seconds=seconds,
            frames_per_second=count / seconds,
            codec=codec(),
        )
        _write_summary(unfinished / SUMMARY, summary)
        out.mkdir(exist_ok=True)
        for name in (FILM, CODES, MESH, SUMMARY):  # the summary last: where it is, the rest is
            os.replace(unfinished / name, out / name)
    return summary


@dataclass(frozen=True)
class Seen:
    """What was read of a video.

    Attributes:
        times: (T,) of all frames, seconds from the first.
        lost: pieces of the file that could not be decoded.
        sightings: of the face.
    """

    times: Float[np.ndarray, "T"]
    lost: int
    sightings: list[Sighting]


def _track(frames: Iterable[TimedFrame], info: VideoInfo, reconstructor: Reconstructor, options: VideoOptions) -> Seen:
    tracker = FaceTracker(reconstructor, options.tracking)
    total = info.announced or None
    times, lost, sightings = [], 0, []
    for number, frame in enumerate(tqdm(frames, "tracking", total=total, unit="frame", disable=not options.progress)):
        times.append(frame.time)
        lost = frame.lost
        sighting = tracker(number, frame.photo)
        if sighting is not None:
            sightings.append(sighting)
    return Seen(np.array(times), lost, sightings)


def _rate(info: VideoInfo, times: Float[np.ndarray, "T"]) -> float:
    """The average rate: as the header says, unless the frames' times differ, as those of varying rate may."""
    if len(times) < 2:
        return info.rate
    measured = (len(times) - 1) / float(times[-1])
    return info.rate if abs(measured / info.rate - 1) < SAME_RATE else measured


def _damage(info: VideoInfo, seen: Seen) -> str:
    """What is missing of a video, in words."""
    parts = []
    if seen.lost:
        parts.append(f"{seen.lost} pieces of the file cannot be decoded")
    if len(seen.times) < info.announced:
        parts.append(f"{len(seen.times)} of {info.announced} frames are left")
    elif not info.announced and info.duration - seen.times[-1] > CUT_OFF:
        parts.append(f"the last frame is at {seen.times[-1]:.2f} of {info.duration:.2f} s")
    return ", ".join(parts)


def _stretches(count: int, frames: np.ndarray) -> tuple[tuple[int, int], ...]:
    """First and last number of each stretch of 0 ... count - 1 that is not among the frames."""
    missing = np.setdiff1d(np.arange(count), frames)
    parts = np.split(missing, np.flatnonzero(np.diff(missing) != 1) + 1)
    return tuple((int(part[0]), int(part[-1])) for part in parts if len(part))


def write_codes(path: Path, face: VideoFace, info: VideoInfo, times: Float[np.ndarray, "T"]) -> None:
    """Write the K frames that show the face as one compressed ``.npz``; nothing in it needs pickle.

    ``frame`` (K,) numbers from 0; ``time`` (K,) seconds from the video's first frame; ``bridged`` (K,) whether the
    frame was interpolated; ``shape`` (S,) and ``reflectance`` (R,) of all frames; ``expression`` (K, E); ``rotation``
    (K, 3) axis-angle, radians; ``translation`` (K, 3) mm; ``illumination`` (K, 9, 3); ``crop`` (K, 4) left, top (pixels
    of the frame), scale (crop pixels per pixel of the frame) and roll (degrees clockwise) of the crop that the code
    belongs to; ``landmarks`` (K, 68, 2) iBUG points, pixels of the frame; ``rate`` frames per second, on average;
    ``size`` width and height of the frames.
    """
    codes = face.codes
    crops = [(each.left, each.top, each.scale, each.roll) for each in face.transforms]
    np.savez_compressed(
        path,
        frame=face.frames,
        time=times[face.frames],
        bridged=~face.seen,
        shape=codes.shape[0].numpy(),
        reflectance=codes.reflectance[0].numpy(),
        expression=codes.expression.numpy(),
        rotation=codes.rotation.numpy(),
        translation=codes.translation.numpy(),
        illumination=codes.illumination.numpy(),
        crop=np.array(crops),
        landmarks=face.landmarks,
        rate=np.array(info.rate),
        size=np.array([info.width, info.height]),
    )


def _write_mesh(
    path: Path,
    face: VideoFace,
    info: VideoInfo,
    times: Float[np.ndarray, "T"],
    reconstructor: Reconstructor,
    count: int,
) -> None:
    """The identity at rest, moved as in the video; where there is no face, it keeps still."""
    model: MorphableModel = reconstructor.decode.model.cpu()
    moving = in_one_camera(face, reconstructor.decode.camera, info.width, info.height)
    every = np.arange(face.frames[0], face.frames[-1] + 1)
    rows = np.searchsorted(face.frames, every, side="right") - 1
    rest = SemanticCode.zeros(1, model.sizes).replace(shape=moving.shape[:1], reflectance=moving.reflectance[:1])
    vertices = model.geometry(rest.shape, rest.expression)[0]
    write_glb(
        path,
        vertices,
        model.faces,
        model.reflectance(rest.reflectance)[0],
        expression_targets(model, count),
        movement(moving[torch.from_numpy(rows)], count, torch.from_numpy(times[every] - times[every[0]])),
    )


def _write_summary(path: Path, summary: VideoSummary) -> None:
    content = asdict(summary)
    content["jitter"]["ratio"] = summary.jitter.ratio
    write_text(path, json.dumps({**without_nan(content), "definitions": DEFINITIONS}, indent=1) + "\n")
