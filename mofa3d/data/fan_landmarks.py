"""Detect 68 landmarks with FAN (Bulat and Tzimiropoulos 2017): the only file that needs the package face-alignment.

The package gives the network; its weights are the user's own file (``2DFAN4-*.pth.tar``), because the package would
download them. Window and decoding follow the published code, whose own detector's box is estimated from the Haar box.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float

from mofa3d.data.crop_transform import CropTransform, resample
from mofa3d.data.found_face import FoundFace
from mofa3d.data.haar import BOX_SHIFT, BOX_SIZE
from mofa3d.data.landmark_table import Points
from mofa3d.data.photo import Photo, to_tensor
from mofa3d.errors import InputError

if TYPE_CHECKING:
    from torch import nn


INSTALL = "install it with: pip install mofa3d[fan]"
MODULES = 4  # hourglasses of the published network
WINDOW, SHIFT = 1.95, -0.05  # side and shift down of the window over the Haar box's side
WINDOW_SIZE, HEATMAP_SIZE = 256, 64

_loaded = threading.local()


def detect_landmarks(photo: Photo, face: FoundFace, weights: str) -> tuple[Points, Float[np.ndarray, "68"], None]:
    """Detect the 68 points of a face, which is turned upright for it.

    Args:
        photo, face: where.
        weights: file of the network's weights.

    Returns:
        points (68, 2), pixels of the photograph; confidence (68,), the height of each point's peak in its heatmap,
        which was trained to be 1; and ``None``, because there is no second detector's box.

    Raises:
        InputError: the package is not installed, or the file is missing or not this network's.
    """
    network = _load(weights)
    centre = face.below(BOX_SHIFT + SHIFT * BOX_SIZE)
    transform = CropTransform.around(centre, WINDOW * BOX_SIZE * face.size, face.roll, WINDOW_SIZE)
    window = resample(photo, transform, WINDOW_SIZE)
    with torch.no_grad():
        heatmaps = network(to_tensor(window)[None])[-1][0]
    points, confidence = decode(heatmaps.numpy(), transform)
    return points, confidence, None


def decode(heatmaps: Float[np.ndarray, "68 S S"], transform: CropTransform) -> tuple[Points, Float[np.ndarray, "68"]]:
    """Peaks of heatmaps, a quarter of a cell towards the higher neighbour, in pixels of the photograph."""
    size = heatmaps.shape[-1]
    row, column = np.unravel_index(heatmaps.reshape(68, -1).argmax(axis=1), (size, size))
    index = np.arange(68)

    def towards(before: np.ndarray, after: np.ndarray, at: np.ndarray) -> np.ndarray:
        inside = (at > 0) & (at < size - 1)  # the published code leaves peaks at the border where they are
        return np.where(inside, 0.25 * np.sign(after - before), 0.0)

    low, high = (np.clip(column + step, 0, size - 1) for step in (-1, 1))
    x = column + 0.5 + towards(heatmaps[index, row, low], heatmaps[index, row, high], column)
    low, high = (np.clip(row + step, 0, size - 1) for step in (-1, 1))
    y = row + 0.5 + towards(heatmaps[index, low, column], heatmaps[index, high, column], row)
    points = transform.to_photo(np.stack([x, y], axis=-1) * (WINDOW_SIZE / size))
    return points.astype(np.float32), heatmaps[index, row, column].clip(0, 1).astype(np.float64)


def _load(weights: str) -> nn.Module:
    if getattr(_loaded, "path", None) != weights:
        try:
            from face_alignment.models import FAN
        except ImportError:
            raise InputError(f"FAN landmarks need the package face-alignment; {INSTALL}") from None
        _loaded.network, _loaded.path = _read(FAN(MODULES), Path(weights)).eval(), weights
    return _loaded.network


def _read(network: nn.Module, path: Path) -> nn.Module:
    if not path.is_file():
        raise InputError(
            f"there is no {path}; give FAN's weights (2DFAN4-*.pth.tar of face-alignment 1.5) as --fan-weights"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(state)
    except Exception as error:  # whatever a damaged file or another network's raises, the remedy is the same
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} are not the weights of FAN with {MODULES} hourglasses ({reason})") from None
    return network
