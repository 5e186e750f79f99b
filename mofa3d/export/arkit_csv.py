"""Write weights of ARKit's 52 units as the app Live Link Face does: a CSV file with a row for each frame.

Programs that animate faces (Unreal, Blender and Maya add-ons, MetaHuman, iClone) read it. Weights are 0 to 1. Turns
are radians about the face's own axes, with +X to the subject's left, +Y up and +Z out of the face, as in ARKit: yaw is
positive to the subject's left, pitch positive down, roll positive when the head leans to the subject's right; the head
is turned by roll, then pitch, then yaw.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from mofa3d.errors import InputError
from mofa3d.files.whole import write_text
from mofa3d.models.arkit import ARKIT

RATE = 60  # frames per second that the timecodes count in, as the app's by default
THOUSANDTHS = 1000  # of such a frame
TURNS = tuple(f"{part}{turn}" for part in ("Head", "LeftEye", "RightEye") for turn in ("Yaw", "Pitch", "Roll"))
COLUMNS = (*(f"{name[0].upper()}{name[1:]}" for name in ARKIT), *TURNS)


@dataclass(frozen=True)
class Take:
    """A face over time.

    Attributes:
        times: (T,) seconds from the start.
        weights: (T, 52) of `mofa3d.models.arkit.ARKIT`.
        head: (T, 4) unit quaternions (x, y, z, w) from model to camera space.
        eyes: (T, 2, 2) yaw and pitch of the left and the right eye against the head, radians.
    """

    times: Float[np.ndarray, "T"]
    weights: Float[np.ndarray, "T 52"]
    head: Float[np.ndarray, "T 4"]
    eyes: Float[np.ndarray, "T 2 2"]


def write_arkit(path: Path, take: Take) -> None:
    """Write a take; missing folders are made.

    Raises:
        InputError: a weight is beyond 0 to 1, or a time negative.
    """
    if not ((take.weights >= 0) & (take.weights <= 1)).all() or not (take.times >= 0).all():
        raise InputError(f"cannot write {path}: expected weights from 0 to 1, and times from 0 on")
    yaw_pitch_roll = Rotation.from_quat(take.head).as_euler("YXZ")
    eyes = np.concatenate([take.eyes, np.zeros((len(take.eyes), 2, 1))], axis=2).reshape(-1, 6)
    rows = np.column_stack([take.weights, yaw_pitch_roll, eyes])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["Timecode", "BlendShapeCount", *COLUMNS])
    for time, row in zip(take.times.tolist(), rows.tolist(), strict=True):
        writer.writerow([timecode(time), len(COLUMNS), *(f"{value:.6f}" for value in row)])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text.getvalue())


def timecode(seconds: float) -> str:
    """Hours, minutes, seconds, and frames with their thousandths: ``00:00:01:30.500`` is 1.508 s."""
    frames, thousandths = divmod(round(seconds * RATE * THOUSANDTHS), THOUSANDTHS)
    whole, frame = divmod(frames, RATE)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}:{frame:02d}.{thousandths:03d}"
