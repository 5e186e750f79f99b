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

VERSION = 1  # of what is done to a photograph


@dataclass(frozen=True)
class PrepareConfig:
    """How to prepare a corpus.

    Attributes:
        detector: face detector: the Haar cascade of the paper, or dlib's HOG detector.
        landmarks: source of the landmarks: "csv" (``landmarks_68.csv`` tables), "dlib", "auto" (tables where they
            exist, otherwise dlib if it is installed), "face_alignment" (tables where they exist, otherwise FAN), or
            "none".
        fan_weights: weights file of FAN, for "face_alignment".
        faces: which faces of a photograph to use: the most prominent one, or all.
        every: use every n-th frame of a video.
        limits: conditions that a face must meet to be kept.
        held_out: fraction of the identities to hold out for validation.
        seed: random seed of that split.
        block: photographs per shard.
    """

    detector: Literal["haar", "dlib"] = "haar"
    landmarks: Literal["auto", "csv", "dlib", "face_alignment", "none"] = "auto"
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
        """With "auto", what it comes to on this machine."""
        if self.landmarks == "face_alignment":
            return f"csv, then face_alignment with {Path(self.fan_weights).name}"
        if self.landmarks != "auto":
            return self.landmarks
        from mofa3d.data.dlib_landmarks import is_installed

        return "csv, then dlib" if is_installed() else "csv"


def digest(*values: object) -> str:
    """Changes when any of the values does, which JSON takes."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]
