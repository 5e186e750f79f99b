"""What became of a video, in numbers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mofa3d.files.whole import without_nan, write_text
from mofa3d.reconstruction.video.moving_face import Jitter

DEFINITIONS = {
    "frames": "numbers of frames count from 0",
    "bridged": "frames in which the face was not found, and whose codes are interpolated",
    "without_face": "frames in which the face was not found and that have no code, as [first, last]",
    "jitter": "mean absolute second difference over time of the 68 projected landmarks, in pixels of the video; "
    "per_frame: by every frame alone; smoothed: of the result, over the same frames; ratio: smoothed / per_frame",
    "rate": "frames per second of the video, on average; the time of each frame is in codes.npz",
    "damage": "what is missing of the video, as far as its header and its decoder tell",
    "arkit_error": "distance between the face and what the weights of arkit.csv make of it, in mm, as the mean over "
    "the face's surface; mean: over frames; largest: of a frame",
    "frames_per_second": "of the whole computation, reading and writing included",
}


@dataclass(frozen=True)
class ArkitError:
    """How far ARKit's weights are from the expressions that they stand for, mm on the face.

    Attributes:
        mean: over frames.
        largest: of a frame.
    """

    mean: float
    largest: float

    @classmethod
    def of(cls, errors: Float[np.ndarray, "K"]) -> ArkitError:
        """Of the mean distances of frames."""
        return cls(float(errors.mean()), float(errors.max()))


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
        arkit_error: of ``arkit.csv``, if it is written.
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
    arkit_error: ArkitError | None = None


def write_summary(path: Path, summary: VideoSummary) -> None:
    """Write a summary as JSON, with its definitions."""
    content = asdict(summary)
    content["jitter"]["ratio"] = summary.jitter.ratio
    write_text(path, json.dumps({**without_nan(content), "definitions": DEFINITIONS}, indent=1) + "\n")
