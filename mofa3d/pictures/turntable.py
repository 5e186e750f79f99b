"""A face that turns from side to side, as pictures."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.errors import InputError
from mofa3d.morphable_model import MorphableModel
from mofa3d.pictures import views
from mofa3d.scene import Renderer, Scene
from mofa3d.semantic_code import SemanticCode

FEWEST = 4  # frames
BATCH = 8
FILL = 0.9  # of the picture's height that the model may take, however it is turned


@torch.no_grad()
def turntable(
    model: MorphableModel,
    code: SemanticCode,
    render: Renderer,
    size: int = 480,
    frames: int = 48,
    sweep: float = 70.0,
) -> UInt8[np.ndarray, "T H W2 3"]:
    """The face in its own colors and light, and beside it in clay, turning to both sides and back without a jump.

    The whole model is upright in the middle whatever the code's pose; the light stays where the camera is.

    Args:
        code: a batch of one.
        size: height of the pictures, pixels; they are twice as wide.
        frames: of one turn, an even number; the last is followed by the first.
        sweep: greatest angle from the front, degrees.

    Raises:
        InputError: fewer than 4 frames, or an odd number.
    """
    if frames < FEWEST or frames % 2:
        raise InputError(f"a turntable has an even number of frames and at least {FEWEST}, got {frames}")
    vertices = model.geometry(code.shape, code.expression)[0]
    middle = (vertices.amin(dim=0) + vertices.amax(dim=0)) / 2
    radius = float((vertices - middle).norm(dim=1).max())
    decode = Decoder(model, Camera(size, focal=FILL * size / 2 * Camera().rest_distance / radius))
    way = -torch.linspace(0, math.pi, frames // 2 + 1, dtype=torch.float64).cos()  # slower towards the ends
    yaws = (math.radians(sweep) * way).to(code.rotation)
    there = np.concatenate([_pictures(decode(_turned(code, some, middle)), render) for some in yaws.split(BATCH)])
    return np.concatenate([there, there[-2:0:-1]])


def sheet(film: UInt8[np.ndarray, "T H W 3"], count: int = 5) -> UInt8[np.ndarray, "H W_count 3"]:
    """Frames of a turntable from one side to the other, side by side."""
    chosen = np.round(np.linspace(0, len(film) // 2, count)).astype(int)
    return np.concatenate(list(film[chosen]), axis=1)


def _turned(code: SemanticCode, yaws: Float[Tensor, "B"], middle: Float[Tensor, "3"]) -> SemanticCode:
    codes = code[torch.zeros(len(yaws), dtype=torch.long, device=yaws.device)]
    rotation = torch.stack([torch.zeros_like(yaws), yaws, torch.zeros_like(yaws)], dim=1)
    return codes.replace(rotation=rotation, translation=middle.expand(len(yaws), 3))


def _pictures(scene: Scene, render: Renderer) -> UInt8[np.ndarray, "B H W2 3"]:
    size = scene.camera.image_size
    white = scene.positions.new_ones(len(scene), 3, size, size)
    parts = [views.overlay(scene, render, white), views.geometry(scene, render)]
    return views.to_bytes(torch.cat(parts, dim=3))
