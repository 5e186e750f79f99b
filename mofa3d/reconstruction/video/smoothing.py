"""Smooth the path of a face over time, and bridge frames in which it was not seen.

Savitzky-Golay filters: a least-squares parabola over a window of frames on both sides, which neither lags nor flattens
peaks as a mean does. Filters for live video, as the One Euro filter, know the past only and lag behind. Rotations are
smoothed as unit quaternions, which lie on one side over so short a time, and brought back to unit length; that is the
chordal mean of rotations with the filter's weights.

Reference: Savitzky & Golay 1964, "Smoothing and Differentiation of Data by Simplified Least Squares Procedures".
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.interpolate import make_interp_spline
from scipy.signal import savgol_filter
from scipy.spatial.transform import Rotation, Slerp

from mofa3d.errors import InputError
from mofa3d.reconstruction.video.head_motion import FacePath


@dataclass(frozen=True)
class SmoothingConfig:
    """How much is smoothed.

    Attributes:
        motion: window for pose and expression, seconds; 0 leaves them as they are. A blink takes 0.3 s.
        light: window for the illumination, seconds.
        bridge: longest gap that is filled, seconds.
        order: of the polynomials.
    """

    motion: float = 0.4
    light: float = 1.0
    bridge: float = 0.4
    order: int = 2

    def __post_init__(self) -> None:
        if min(self.motion, self.light, self.bridge, self.order) < 0:
            raise InputError(
                f"windows, gaps and orders are at least 0, got motion {self.motion}, light {self.light}, bridge "
                f"{self.bridge} and order {self.order}"
            )


@dataclass(frozen=True)
class Run:
    """Neighbouring frames that show one track of a face.

    Attributes:
        frames: (K,) their numbers, one after the other.
        seen: (K,) whether the face was found there; otherwise it is interpolated.
        path: of these frames.
    """

    frames: Int[np.ndarray, "K"]
    seen: Bool[np.ndarray, "K"]
    path: FacePath


def bridged(path: FacePath, frames: Int[np.ndarray, "K"], tracks: Int[np.ndarray, "K"], longest: int) -> list[Run]:
    """Cut a path where the track changes or the face was away for more than `longest` frames; fill shorter gaps.

    Args:
        path: of the frames in which the face was found.
        frames: their numbers, increasing.
        tracks: of each frame.
        longest: frames without a face that are filled by interpolation.
    """
    cuts = np.flatnonzero((np.diff(frames) > longest + 1) | (np.diff(tracks) != 0)) + 1
    return [_filled(path[part], frames[part]) for part in np.split(np.arange(len(frames)), cuts) if len(part)]


def _filled(path: FacePath, frames: np.ndarray) -> Run:
    every = np.arange(frames[0], frames[-1] + 1)
    seen = np.isin(every, frames)
    if seen.all():
        return Run(every, seen, path)
    values = {
        field.name: make_interp_spline(frames, getattr(path, field.name), k=1)(every)
        for field in fields(path)
        if field.name != "turn"
    }
    turn = Slerp(frames, Rotation.from_matrix(path.turn))(every).as_matrix()
    return Run(every, seen, FacePath(turn=turn, **values))


def smoothed(path: FacePath, rate: float, config: SmoothingConfig) -> FacePath:
    """A path without its trembling.

    Args:
        path: of frames that follow one another.
        rate: frames per second.
        config: how much is smoothed.
    """
    window, slow = (round(seconds * rate) for seconds in (config.motion, config.light))
    return replace(
        path,
        origin=_filtered(path.origin, window, config.order),
        # Size in the frame is focal · scale / distance: logarithms keep what both have in common.
        distance=np.exp(_filtered(np.log(path.distance), window, config.order)),
        scale=np.exp(_filtered(np.log(path.scale), window, config.order)),
        roll=_filtered(path.roll, window, config.order),
        turn=_filtered_rotations(path.turn, window, config.order),
        expression=_filtered(path.expression, window, config.order),
        illumination=_filtered(path.illumination, slow, config.order),
    )


def _filtered_rotations(turn: Float[np.ndarray, "K 3 3"], window: int, order: int) -> Float[np.ndarray, "K 3 3"]:
    quaternions = Rotation.from_matrix(turn).as_quat()
    # A quaternion and its negative are one rotation, but their mean is none.
    flips = np.cumprod(np.where((quaternions[1:] * quaternions[:-1]).sum(axis=1) < 0, -1.0, 1.0))
    quaternions[1:] *= flips[:, None]
    return Rotation.from_quat(_filtered(quaternions, window, order)).as_matrix()  # normalises


def _filtered(values: Float[np.ndarray, "K *D"], window: int, order: int) -> Float[np.ndarray, "K *D"]:
    """Over the next smaller odd window that the sequence has room for; shorter ones stay as they are."""
    window = min(window, len(values))
    window -= 1 - window % 2
    return savgol_filter(values, window, order, axis=0) if window > order else values


def jitter(points: Float[np.ndarray, "K P 2"], frames: Int[np.ndarray, "K"]) -> float:
    """Mean absolute second difference of points over three neighbouring frames, pixels; NaN without any three.

    Args:
        points: pixels.
        frames: numbers of the frames, increasing; where one is missing, nothing is compared.
    """
    neighbours = (np.diff(frames[:-1]) == 1) & (np.diff(frames[1:]) == 1)
    bends = np.abs(np.diff(points, n=2, axis=0))[neighbours]
    return float(bends.mean()) if bends.size else float("nan")
