"""Write pictures as a film."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8


def write_video(path: Path, frames: UInt8[np.ndarray, "T H W 3"], rate: float) -> None:
    """Write an MP4 (MPEG-4 Part 2, which OpenCV brings; browsers want H.264 and do not play it).

    Args:
        path: ends in ``.mp4``; missing folders are made.
        frames: RGB, with even height and width.
        rate: frames per second.

    Raises:
        ValueError: another suffix, no frame, an odd size, a rate that is not positive, or OpenCV could not write.
    """
    height, width = frames.shape[1:3]
    if path.suffix.lower() != ".mp4":
        raise ValueError(f"cannot write {path}: the suffix must be .mp4")
    if len(frames) == 0 or height % 2 or width % 2 or not rate > 0:
        raise ValueError(
            f"cannot write {path}: expected frames of even height and width at a positive rate, got {len(frames)} of "
            f"{width}×{height} pixels at {rate} per second"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), rate, (width, height))
    try:
        if not writer.isOpened():
            raise ValueError(f"OpenCV cannot write {path}; check that the folder can be written to")
        for frame in frames:
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    finally:
        writer.release()
