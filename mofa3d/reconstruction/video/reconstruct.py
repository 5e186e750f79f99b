"""From a video to one face that moves, as files: a film, codes, a mesh with an animation, and a summary.

The video is read twice, frame by frame. The first time a tracker writes down a code for every frame (two kilobytes
each); the second time the smoothed face is laid over the frames.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from mofa3d.data.photo import Photo
from mofa3d.data.sources import Reader
from mofa3d.data.video import TimedFrame, VideoInfo
from mofa3d.decoder import Decoder
from mofa3d.environment.ahead import ahead
from mofa3d.errors import InputError
from mofa3d.export.face_textures import FaceTextures
from mofa3d.export.video import codec, film_writer
from mofa3d.reconstruction.options import Look
from mofa3d.reconstruction.reconstructor import Reconstructor
from mofa3d.reconstruction.video.animation import FilmRig, write_film_arkit, write_film_mesh
from mofa3d.reconstruction.video.film import FaceFilm
from mofa3d.reconstruction.video.moving_face import VideoFace, compare_jitter, face_of, in_one_camera
from mofa3d.reconstruction.video.smoothing import SmoothingConfig
from mofa3d.reconstruction.video.summary import ArkitError, VideoSummary, write_summary
from mofa3d.reconstruction.video.tracking import FaceTracker, Sighting, TrackingConfig
from mofa3d.scene import Renderer

_LOG = logging.getLogger(__name__)
FILM, CODES, MESH, ARKIT, SUMMARY = "overlay.mp4", "codes.npz", "mesh.glb", "arkit.csv", "summary.json"
SAME_RATE = 0.01  # relative difference
CUT_OFF = 1.0  # seconds by which pictures may end before their file, whose sound may be longer


@dataclass(frozen=True)
class VideoOptions:
    """How a video is reconstructed.

    Attributes:
        tracking: when the detector is asked.
        smoothing: how much is smoothed.
        geometry: whether the film has a third picture, with the surface in clay.
        max_side: longer side of one of the film's pictures, pixels; larger frames are made smaller.
        mesh: whether it is written.
        blendshapes: expression units that the mesh has and the animation moves; by default ARKit's 52, where the face
            model has them.
        morph_targets: columns of the expression basis that it has instead of units; by default 20 where the face model
            does not have ARKit's.
        texture: of the mesh: of the frame that sees the face best from the front; the model's; or none.
        texture_size: texels along each side.
        progress: whether progress bars are shown.
    """

    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)
    geometry: bool = True
    max_side: int = 640
    mesh: bool = True
    blendshapes: tuple[str, ...] = ()
    morph_targets: int | None = None
    texture: Look = "none"
    texture_size: int = 1024
    progress: bool = True

    def __post_init__(self) -> None:
        if self.max_side < 2:
            raise InputError(f"max_side must be at least 2 pixels, got {self.max_side}")


def reconstruct_video(
    path: Path,
    reconstructor: Reconstructor,
    render: Renderer,
    out: Path,
    options: VideoOptions | None = None,
    reader: Reader | None = None,
    textures: FaceTextures | None = None,
) -> VideoSummary:
    """Reconstruct the most prominent face of a video; nothing is in the folder before everything is done.

    It writes ``overlay.mp4`` (photograph, overlay, geometry; at the video's times), ``codes.npz`` (see `write_codes`),
    ``mesh.glb`` (the identity with the video's expressions and head movement as an animation), ``arkit.csv`` where the
    face model has ARKit's units (see `mofa3d.export.arkit_csv`) and, last, ``summary.json``. All tracks of a video are
    taken for one person.

    Args:
        path: the video.
        reconstructor: encoder and face model.
        render: a raster backend with a black background, as `make_renderer("cpu")`.
        out: the folder for the results.
        options: how.
        reader: reads the video.
        textures: makes the texture that the options ask for; without it, the mesh has colors at its vertices.

    Raises:
        InputError: the options do not fit the face model, the file is no video, or no face is found in it.
    """
    options, reader = options or VideoOptions(), reader or Reader()
    # Wrong options are told at once.
    rig = FilmRig(reconstructor.decode.model, options.blendshapes, options.morph_targets)
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
        best = _most_frontal(face)
        photos: list[Photo] = []
        pictures = film.draw(_kept(reader.frames(path), int(face.frames[best]), photos))
        shown = tqdm(pictures, "drawing", total=count, unit="frame", disable=not options.progress)
        with film_writer(unfinished / FILM, *film.size, info.rate) as write:
            timed = zip(shown, seen.times.tolist(), strict=True)
            with closing(ahead(lambda frame: write(*frame), timed, threads=1)) as writings:
                for _, writing in writings:
                    writing.result()
        write_codes(unfinished / CODES, face, info, seen.times)
        moving = rig(face.codes.expression, seen.times[face.frames])
        codes = in_one_camera(face, reconstructor.decode.camera, info.width, info.height)
        if options.mesh:
            model, texture = reconstructor.decode.model.cpu(), None
            if options.texture != "none" and textures is not None:
                scene = Decoder(textures.model, reconstructor.decode.camera)(face.codes[best : best + 1])
                where = photos[0], face.transforms[best]
                texture = textures(scene, *where, options.texture, options.texture_size)
            write_film_mesh(unfinished / MESH, model, codes, moving, face.frames, seen.times, texture)
        if rig.arkit is not None and moving.arkit is not None:
            write_film_arkit(unfinished / ARKIT, rig.arkit, codes, moving.arkit, face.frames, seen.times)
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
            arkit_error=None if moving.arkit is None else ArkitError.of(moving.arkit.error),
        )
        write_summary(unfinished / SUMMARY, summary)
        out.mkdir(exist_ok=True)
        for name in (FILM, CODES, MESH, ARKIT, SUMMARY):  # the summary last: where it is, the rest is
            if (unfinished / name).exists():
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


def _most_frontal(face: VideoFace) -> int:
    """The row of the frame that sees the face best from the front."""
    turned = face.codes.rotation.norm(dim=1).numpy()
    return int(np.where(face.seen, turned, np.inf).argmin())


def _kept(frames: Iterable[TimedFrame], number: int, kept: list[Photo]) -> Iterator[Photo]:
    """The pictures of frames, of which one is kept."""
    for count, frame in enumerate(frames):
        if count == number:
            kept.append(frame.photo)
        yield frame.photo
