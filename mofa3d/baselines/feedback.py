"""Drawings of an estimated geometry, as a network takes them beside the photograph."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from mofa3d import harmonics
from mofa3d.decoder import Decoder
from mofa3d.pictures import recolored
from mofa3d.scene import Renderer, Scene
from mofa3d.semantic_code import SemanticCode

NEAR_AND_FAR = 100.0  # mm before and behind the origin that a drawing of depth tells apart


def normal_colors(scene: Scene) -> Float[Tensor, "B N 3"]:
    """Camera-space normals as colours in 0 to 1."""
    return (scene.normals + 1) / 2


def depth_colors(scene: Scene) -> Float[Tensor, "B N 3"]:
    """Camera-space z as grey: 0 at 100 mm behind the origin, 1 at 100 mm before it."""
    grey = (scene.positions[..., 2:] / NEAR_AND_FAR + 1) / 2
    return grey.clamp(0, 1).expand(-1, -1, 3)


FEEDBACK: dict[str, Callable[[Scene], Tensor]] = {"normals": normal_colors, "depth": depth_colors}


def draw_feedback(kind: str, decode: Decoder, render: Renderer) -> Callable[[SemanticCode], Tensor]:
    """A function from codes to drawings (B, 4, H, W) in 0 to 1: three channels of geometry on black, and its mask.

    Args:
        kind: "normals" or "depth".
        decode: its camera says how large drawings are.
        render: a raster backend with a black background.

    Raises:
        ValueError: unknown kind.
    """
    if kind not in FEEDBACK:
        raise ValueError(f"unknown feedback {kind!r}; there are {', '.join(FEEDBACK)}")
    colors = FEEDBACK[kind]

    def draw(code: SemanticCode) -> Tensor:
        scene = decode(code)
        even = torch.zeros_like(scene.illumination)
        even[:, 0] = 1 - harmonics.AMBIENT  # irradiance 1: colours come through as they are
        return render(recolored(scene, colors(scene), even)).image

    return draw
