"""nvdiffrast as a backend (Laine et al. 2020): rasterize, interpolate and antialias on an NVIDIA GPU.

The only file that needs nvdiffrast. Its contract, as used here: vertices in clip space (x, y, z, w), int32 triangles,
and images whose row 0 is at y/w = -1; `rasterize` returns per pixel (u, v, z/w, triangle + 1) with u and v the
perspective-correct weights of the triangle's first two vertices, and 0 in the last channel where nothing is.

Differentiable: barycentric coordinates inside the surface, and with antialiasing the silhouettes. Not differentiable:
`zbuf`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mofa3d.errors import InputError
from mofa3d.renderers.rasterized import RasterizedRenderer
from mofa3d.renderers.winding import doubled_area
from mofa3d.scene import Scene

if TYPE_CHECKING:
    from pytorch3d.renderer.mesh.rasterizer import Fragments


INSTALL = "install it from its source (pip install git+https://github.com/NVlabs/nvdiffrast.git) with a CUDA toolkit"
NEAR, FAR = 0.2, 5.0  # clipping planes over the camera's rest distance


@dataclass
class Operations:
    """nvdiffrast's functions and its CUDA context, made when first used, on one device."""

    device: torch.device

    @cached_property
    def functions(self):
        try:
            import nvdiffrast.torch as functions
        except ImportError as error:
            raise InputError(f'the renderer "nvdiffrast" needs the package nvdiffrast ({error}); {INSTALL}') from None
        return functions

    @cached_property
    def context(self):
        return self.functions.RasterizeCudaContext(device=self.device)


@dataclass
class NvdiffrastBackend:
    """The three operations of a rasterized renderer; contexts are kept per device."""

    contexts: dict[torch.device, Operations] = field(default_factory=dict)

    def rasterize(self, scene: Scene) -> Fragments:
        """The nearest face at each pixel; one that is seen from behind leaves the pixel empty."""
        from pytorch3d.renderer.mesh.rasterizer import Fragments

        use = self._operations(scene.pixels.device)
        size = scene.camera.image_size
        raster, _ = use.functions.rasterize(use.context, clip_space(scene), _triangles(scene), resolution=(size, size))
        face = raster[..., 3].long() - 1
        image = torch.arange(len(face), device=face.device).view(-1, 1, 1)
        seen = (face >= 0) & faces_turned_to_camera(scene)[image, face.clamp_min(0)]
        u, v = raster[..., 0], raster[..., 1]
        bary = torch.stack([u, v, 1 - u - v], dim=-1)
        depth = depth_of(raster[..., 2].detach(), scene.camera.rest_distance)
        return Fragments(
            pix_to_face=torch.where(seen, face + image * len(scene.faces), -1)[..., None],
            zbuf=torch.where(seen, depth, -1.0)[..., None],
            bary_coords=torch.where(seen[..., None], bary, -1.0)[..., None, :],
            dists=torch.where(seen, 0.0, -1.0)[..., None].to(bary),
        )

    def interpolate(
        self, fragments: Fragments, attributes: Float[Tensor, "B N D"], faces: Int[Tensor, "F 3"]
    ) -> Float[Tensor, "B H W 1 D"]:
        """Attributes at the fragments, zero where there is none."""
        use = self._operations(attributes.device)
        raster = _raster(fragments, len(faces), fragments.zbuf[..., 0])
        values, _ = use.functions.interpolate(attributes.contiguous(), raster, faces.int().contiguous())
        return values.unsqueeze(3)

    def antialias(
        self, image: Float[Tensor, "B H W C"], fragments: Fragments, scene: Scene
    ) -> Float[Tensor, "B H W C"]:
        """The image blended across its silhouettes, which lets gradients move them."""
        use = self._operations(image.device)
        z = normalized_depth(fragments.zbuf[..., 0], scene.camera.rest_distance)
        raster = _raster(fragments, len(scene.faces), z).detach()
        return use.functions.antialias(image.contiguous(), raster, clip_space(scene), _triangles(scene))

    def _operations(self, device: torch.device) -> Operations:
        if device not in self.contexts and device.type != "cuda":
            raise InputError(
                f'the renderer "nvdiffrast" works on NVIDIA GPUs only, but the scene is on {device}; '
                'move model and code to "cuda", or use the renderer "cpu"'
            )
        return self.contexts.setdefault(device, Operations(device))


def make_nvdiffrast_renderer(
    antialias: bool = True, background: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> RasterizedRenderer:
    """The "nvdiffrast" renderer; `antialias` gives gradients at silhouettes, `background` is RGB.

    Raises:
        InputError: the package or the GPU is missing.
    """
    if not torch.cuda.is_available():
        raise InputError('the renderer "nvdiffrast" needs an NVIDIA GPU, and PyTorch sees none; use the renderer "cpu"')
    Operations(torch.device("cuda")).functions  # noqa: B018  fails now, not in the first step
    backend = NvdiffrastBackend()
    return RasterizedRenderer(
        backend.rasterize, backend.antialias if antialias else None, background, interpolate=backend.interpolate
    )


def clip_space(scene: Scene) -> Float[Tensor, "B N 4"]:
    """Projected vertices in clip space; y points down the image, so that row 0 is the top one."""
    depth = scene.depth
    ndc = 2 * scene.pixels / scene.camera.image_size - 1
    z = normalized_depth(depth, scene.camera.rest_distance)
    return torch.stack([ndc[..., 0] * depth, ndc[..., 1] * depth, z * depth, depth], dim=-1).contiguous()


def normalized_depth(depth: Tensor, rest_distance: float) -> Tensor:
    """z/w in -1 to 1 of a depth (mm) between the clipping planes."""
    near, far = NEAR * rest_distance, FAR * rest_distance
    return (far + near) / (far - near) - 2 * far * near / ((far - near) * depth)


def depth_of(normalized: Tensor, rest_distance: float) -> Tensor:
    """The inverse of `normalized_depth`."""
    near, far = NEAR * rest_distance, FAR * rest_distance
    return 2 * far * near / (far + near - (far - near) * normalized)


def faces_turned_to_camera(scene: Scene) -> Tensor:
    """Which faces (B, F) are seen counter-clockwise."""
    corners = scene.pixels.detach()[:, scene.faces]
    a, b, c = ((corner[..., 0], corner[..., 1]) for corner in corners.unbind(2))
    return doubled_area(a, b, c) > 0


def _triangles(scene: Scene) -> Int[Tensor, "F 3"]:
    return scene.faces.int().contiguous()


def _raster(fragments: Fragments, face_count: int, z: Float[Tensor, "B H W"]) -> Float[Tensor, "B H W 4"]:
    """Fragments in nvdiffrast's layout (u, v, z/w, triangle + 1)."""
    face = fragments.pix_to_face[..., 0]
    image = torch.arange(len(face), device=face.device).view(-1, 1, 1)
    number = torch.where(face >= 0, face - image * face_count + 1, 0)
    covered = (number > 0)[..., None]
    uv = torch.where(covered, fragments.bary_coords[..., 0, :2], 0.0)
    return torch.cat([uv, torch.stack([z, number.to(z)], dim=-1)], dim=-1).contiguous()
