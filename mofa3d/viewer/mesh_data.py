"""A face as the page's 3D view takes it: triangles and texture coordinates once, vertices at every change."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from pytorch3d.transforms import axis_angle_to_matrix
from torch import Tensor

from mofa3d import harmonics
from mofa3d.export.texture_layout import TextureLayout
from mofa3d.pictures import views
from mofa3d.scene import Scene

LOOKS = {"texture": "Texture", "lit": "Model", "skin": "Skin", "shape": "Clay"}
# A texture's factors go up to 2: light on skin is often above 1.
BRIGHTEST = 2.0
DARKEST = 0.02  # reflectance below which a ratio says nothing


def colors(scene: Scene, estimate: Scene, look: str) -> Float[Tensor, "N 3"]:
    """Colors of the vertices, display RGB, in one of the `LOOKS`; of a texture, its factors over `BRIGHTEST`.

    Args:
        scene: the face as it is shown.
        estimate: the face that the texture was made of: a change of the model's reflectance changes the texture too.
    """
    if look == "skin":
        return scene.reflectance[0]
    if look == "shape":
        return views.clay(scene).colors[0]
    if look == "lit":
        return scene.colors[0]
    light = harmonics.irradiance(scene.normals, scene.illumination)
    ratio = scene.reflectance.clamp_min(DARKEST) / estimate.reflectance.clamp_min(DARKEST)
    return (light * ratio)[0] / BRIGHTEST


def vertex_bytes(scene: Scene, estimate: Scene, look: str, layout: TextureLayout) -> bytes:
    """All positions of the layout's vertices, then all colors.

    Positions are little-endian 32-bit floats in mm, turned as in the upright crop, the origin in the middle of the
    head; `colors` are RGBA in 8 bits.
    """
    turned = (scene.vertices[0] @ axis_angle_to_matrix(scene.rotation[0]))[layout.source]
    rgba = np.full((len(turned), 4), 255, dtype=np.uint8)
    with torch.no_grad():
        shown = colors(scene, estimate, look)[layout.source]
    rgba[:, :3] = np.round(255 * shown.clamp(0, 1).cpu().numpy())
    return turned.cpu().numpy().astype("<f4").tobytes() + rgba.tobytes()


def triangle_bytes(layout: TextureLayout) -> bytes:
    """Little-endian 32-bit numbers of the layout's vertices."""
    return layout.faces.cpu().numpy().astype("<u4").tobytes()


def coordinate_bytes(layout: TextureLayout) -> bytes:
    """Texture coordinates of the layout's vertices, little-endian 32-bit floats, the origin at the bottom left."""
    return layout.uv.cpu().numpy().astype("<f4").tobytes()
