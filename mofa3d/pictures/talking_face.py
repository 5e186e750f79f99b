"""A short film of the default model's average face, which turns its head, speaks, blinks and smiles."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import UInt8

from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.models import load_model
from mofa3d.models.expression_units import combine, expression_units
from mofa3d.scene import Renderer
from mofa3d.semantic_code import SemanticCode

RATE = 25.0  # frames per second
SECONDS = 4.0
SIZE = 480  # pixels
BACKGROUND = (0.55, 0.6, 0.66)
BLINKS = (0.9, 2.6)  # seconds
FILL = 0.75  # of the picture's height that the head takes


def movements(time: float) -> dict[str, float]:
    """Strengths of expression units at a time in seconds."""
    blink = max(math.exp(-(((time - moment) / 0.07) ** 2)) for moment in BLINKS)
    smile = 0.7 / (1 + math.exp(-8 * (time - 2.9)))
    speech = max(0.0, math.sin(2 * math.pi * 1.7 * time)) * 0.35 / (1 + math.exp(8 * (time - 2.6)))
    sides = [("mouthSmile", smile), ("eyeBlink", blink), ("browOuterUp", 0.3 * smile)]
    both = {f"{name}{side}": strength for name, strength in sides for side in ("Left", "Right")}
    return {**both, "jawOpen": speech, "mouthFunnel": 0.5 * speech}


@torch.no_grad()
def talking_face(
    render: Renderer, seconds: float | None = None, size: int = SIZE
) -> UInt8[np.ndarray, "T size size 3"]:
    """Frames at `RATE`, RGB.

    Args:
        render: draws a scene.
        seconds: length, by default `SECONDS`.
        size: width and height in pixels.
    """
    model = load_model("makehuman")
    middle = (model.mean_shape.amin(dim=0) + model.mean_shape.amax(dim=0)) / 2
    radius = float((model.mean_shape - middle).norm(dim=1).max())
    camera = Camera(size, focal=FILL * size / 2 * Camera().rest_distance / radius)
    decode, units = Decoder(model, camera), expression_units(model)
    light = torch.zeros(1, 9, 3, dtype=torch.float32)
    light[:, 0], light[:, 1], light[:, 3] = 0.25, 0.12, 0.1
    background = torch.tensor(BACKGROUND, dtype=torch.float32)[:, None, None]
    frames = []
    for number in range(round((SECONDS if seconds is None else seconds) * RATE)):
        time = number / RATE
        turn = [[0.06 * math.sin(1.3 * time), 0.35 * math.sin(math.pi * time / 2), 0.0]]
        code = SemanticCode.zeros(1, model.sizes).replace(
            expression=combine(units, movements(time))[None],
            rotation=torch.tensor(turn, dtype=torch.float32),
            translation=middle[None],
            illumination=light,
        )
        image = render(decode(code)).require_image()[0]
        frame = image[:3] * image[3:] + background * (1 - image[3:])
        frames.append((255 * frame.clamp(0, 1)).round().byte().permute(1, 2, 0).numpy())
    return np.stack(frames)
