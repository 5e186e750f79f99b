"""PyTorch3D's own rasterizer as a backend: the reference for the others, on CPU (slow) and CUDA, hard and soft."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mofa3d.errors import InputError
from mofa3d.renderers.rasterized import RasterizedRenderer
from mofa3d.scene import Scene

if TYPE_CHECKING:
    from pytorch3d.renderer.mesh.rasterizer import Fragments


@dataclass(frozen=True)
class Pytorch3dRasterizer:
    """`MeshRasterizer` on the scene's geometry and cameras; settings as in PyTorch3D's `RasterizationSettings`.

    PyTorch3D works in float32 only; its fragments are returned in the type of the scene.
    """

    faces_per_pixel: int = 1
    blur_radius: float = 0.0

    def __call__(self, scene: Scene) -> Fragments:
        from pytorch3d.renderer import MeshRasterizer, RasterizationSettings
        from pytorch3d.structures import Meshes

        settings = RasterizationSettings(
            image_size=scene.camera.image_size,
            faces_per_pixel=self.faces_per_pixel,
            blur_radius=self.blur_radius,
            cull_backfaces=True,
        )
        meshes = Meshes(verts=scene.vertices.float(), faces=scene.faces.expand(len(scene), -1, -1))
        fragments = MeshRasterizer(cameras=scene.cameras, raster_settings=settings)(meshes)
        return replace(
            fragments,
            zbuf=fragments.zbuf.to(scene.vertices.dtype),
            bary_coords=fragments.bary_coords.to(scene.vertices.dtype),
            dists=fragments.dists.to(scene.vertices.dtype),
        )


def make_pytorch3d_renderer(
    soft: bool = False,
    faces_per_pixel: int = 8,
    sigma: float = 1e-4,
    gamma: float = 1e-4,
    background: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> RasterizedRenderer:
    """The "pytorch3d" renderer.

    Args:
        soft: blend several blurred faces per pixel (SoftRas), which gives gradients at silhouettes; else one hard face.
        faces_per_pixel: of soft blending; too few for the blur makes alpha drop on dense meshes.
        sigma: blur of edges, in squared NDC; faces reach out to where their probability falls to 1e-4.
        gamma: sharpness in depth, as a fraction of the scene's depth range.
        background: RGB.
    """
    from pytorch3d.renderer import BlendParams

    if not soft:
        return RasterizedRenderer(Pytorch3dRasterizer(), background=background)
    if faces_per_pixel < 2 or sigma <= 0 or gamma <= 0:
        raise InputError(
            "soft blending needs faces_per_pixel of at least 2 and positive sigma and gamma, "
            f"got {faces_per_pixel}, {sigma} and {gamma}"
        )
    blur_radius = math.log(1 / 1e-4 - 1) * sigma
    return RasterizedRenderer(
        Pytorch3dRasterizer(faces_per_pixel, blur_radius),
        background=background,
        blend_params=BlendParams(sigma=sigma, gamma=gamma),
    )
