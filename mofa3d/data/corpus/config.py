"""How a corpus is prepared."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from mofa3d.data.corpus.prune import Limits
from mofa3d.errors import InputError
from mofa3d.numeric_options import MOST, check_ranges

VERSION = 2  # of what is done to a photograph
Engine = Literal["local", "ray"]


@dataclass(frozen=True)
class PrepareConfig:
    """How to prepare a corpus.

    Attributes:
        detector: face detector: "yunet" finds faces turned by any angle and gives upright crops; "haar" is the cascade
            of the paper and "dlib" dlib's HOG detector, with crops as upright as the photograph.
        landmarks: source of the 68 landmarks: "csv" (``landmarks_68.csv`` tables), "mediapipe" (MediaPipe's face
            landmarker), "auto" (tables where they exist, otherwise MediaPipe), "dlib", "face_alignment" (tables where
            they exist, otherwise FAN), or "none".
        fan_weights: weights file of FAN, for "face_alignment".
        faces: which faces of a photograph to use: the most prominent one, or all.
        every: use every n-th frame of a video.
        limits: conditions that a face must meet to be kept.
        held_out: fraction of the identities to hold out for validation.
        seed: random seed of that split.
        block: photographs per shard.
    """

    detector: Literal["yunet", "haar", "dlib"] = "yunet"
    landmarks: Literal["auto", "csv", "mediapipe", "dlib", "face_alignment", "none"] = "auto"
    fan_weights: str = ""
    faces: Literal["largest", "all"] = "largest"
    every: int = 30
    limits: Limits = field(default_factory=Limits)
    held_out: float = 0.08
    seed: int = 0
    block: int = 256

    def __post_init__(self) -> None:
        if self.landmarks == "face_alignment" and not Path(self.fan_weights).is_file():
            raise InputError(
                f"--landmarks face_alignment needs a weights file as --fan-weights, got {self.fan_weights!r}"
            )
        check_ranges(self, every=(1, MOST), held_out=(0, 1), block=(1, 100_000))

    def fingerprint(self) -> str:
        """Changes when what is done to a photograph changes; not with what is decided over the whole corpus."""
        limits = {**asdict(self.limits), "duplicate_bits": None}
        return digest(VERSION, self.detector, self.resolved_landmarks(), self.faces, limits)

    def resolved_landmarks(self) -> str:
        """Which sources are asked, in their order."""
        if self.landmarks == "face_alignment":
            return f"csv, then face_alignment with {Path(self.fan_weights).name}"
        return "csv, then mediapipe" if self.landmarks == "auto" else self.landmarks


def digest(*values: object) -> str:
    """Changes when any of the values does, which JSON takes."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]
