"""Spherical-harmonics shading of fragments: the paper's illumination model as a PyTorch3D shader.

`SHShader` needs nothing else of this project: it works in PyTorch3D's `MeshRenderer` with any rasterizer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mofa3d import harmonics
from mofa3d.renderers.interpolate import interpolate
from mofa3d.renderers.winding import doubled_area

if TYPE_CHECKING:
    from pytorch3d.renderer import BlendParams
    from pytorch3d.renderer.mesh.rasterizer import Fragments
    from pytorch3d.structures import Meshes


def shade(
    reflectance: Float[Tensor, "B H W K 3"], normals: Float[Tensor, "B H W K 3"], illumination: Float[Tensor, "B 9 3"]
) -> Float[Tensor, "B H W K 3"]:
    """Color of fragments: reflectance times irradiance at the normal, which needs no unit length (Eq. 3).

    Args:
        reflectance: display RGB.
        normals: camera space: x right, y up, z towards the viewer.
        illumination: spherical-harmonics code without the ambient.
    """
    # Not `normalize`: a norm over so short a dimension is several times slower than the sum written out.
    unit = normals * normals.square().sum(dim=-1, keepdim=True).clamp_min(1e-24).rsqrt()
    return reflectance * harmonics.irradiance(unit, illumination)


class SHShader(nn.Module):
    """PyTorch3D shader: interpolated reflectance under spherical-harmonics light, only faces turned to the camera.

    The light belongs to the camera (x right, y up, z towards the viewer), as in the paper. A face is turned to the
    camera when its corners are seen counter-clockwise; other fragments count as empty. Fragments with one face per
    pixel are blended hard, with more by PyTorch3D's `softmax_rgb_blend`.

    Args:
        illumination: (B, 9, 3) or (9, 3) code without the ambient 0.7; ``None`` is even ambient light.
        cameras: PyTorch3D cameras; `MeshRenderer` does not pass the rasterizer's on, so give them to one of
            constructor and call.
        blend_params: PyTorch3D's; the background color, and sigma and gamma of soft blending.

    All three can be overridden by keyword arguments of the call, as in PyTorch3D's shaders.
    """

    illumination: Float[Tensor, "*B 9 3"]

    def __init__(
        self,
        illumination: Float[Tensor, "*B 9 3"] | None = None,
        cameras=None,
        blend_params: BlendParams | None = None,
    ) -> None:
        super().__init__()
        if illumination is None:
            illumination = torch.zeros(9, 3, dtype=torch.float32)
        self.register_buffer("illumination", illumination, persistent=False)
        self.cameras = cameras
        self.blend_params = blend_params

    def to(self, *args, **kwargs):
        """Move the cameras too, which are not a module."""
        super().to(*args, **kwargs)
        if self.cameras is not None:
            self.cameras = self.cameras.to(self.illumination.device)
        return self

    def forward(self, fragments: Fragments, meshes: Meshes, **kwargs) -> Float[Tensor, "B H W 4"]:
        """RGBA of the fragments of meshes that have textures; not clamped.

        Args:
            fragments: from any rasterizer.
            meshes: world space, with `TexturesVertex` (or any other PyTorch3D textures) as reflectance.
            kwargs: `cameras`, `illumination`, `blend_params` override the constructor's.

        Raises:
            ValueError: no cameras or textures, or an illumination of the wrong shape.
        """
        from pytorch3d.renderer import BlendParams

        cameras = kwargs.get("cameras", self.cameras)
        if cameras is None:
            raise ValueError("SHShader needs cameras: give them to the constructor or as renderer(meshes, cameras=...)")
        if meshes.textures is None:
            raise ValueError("SHShader takes the reflectance from meshes.textures, got none; use TexturesVertex")
        illumination = kwargs.get("illumination", self.illumination)
        if illumination.shape not in ((9, 3), (1, 9, 3), (len(meshes), 9, 3)):
            raise ValueError(f"expected illumination ({len(meshes)}, 9, 3), got {tuple(illumination.shape)}")
        blend_params = kwargs.get("blend_params", self.blend_params) or BlendParams()

        front = front_fragments(fragments.pix_to_face, faces_turned_to(cameras, meshes))
        fragments = replace(fragments, pix_to_face=front)
        where = fragments.pix_to_face, fragments.bary_coords
        normals = interpolate(*where, view_normals(cameras, meshes), meshes.faces_packed())
        colors = shade(meshes.sample_textures(fragments), normals, illumination.expand(len(meshes), 9, 3))
        return blend(colors, fragments, blend_params)


def blend(
    colors: Float[Tensor, "B H W K 3"], fragments: Fragments, blend_params: BlendParams
) -> Float[Tensor, "B H W 4"]:
    """RGBA over the background color: hard with one face per pixel, else PyTorch3D's softmax blending."""
    if fragments.pix_to_face.shape[3] > 1:
        from pytorch3d.renderer.blending import softmax_rgb_blend

        near, far = _depth_range(fragments)
        return softmax_rgb_blend(colors, fragments, blend_params, znear=near, zfar=far)
    covered = fragments.pix_to_face >= 0
    background = torch.as_tensor(blend_params.background_color, dtype=colors.dtype, device=colors.device)
    return torch.cat([torch.where(covered, colors[..., 0, :], background), covered.to(colors.dtype)], dim=-1)


def _depth_range(fragments: Fragments) -> tuple[Tensor, Tensor]:
    """Nearest depth and one beyond the farthest of each image (B,): softmax blending wants all depths between."""
    depth, covered = fragments.zbuf.detach().flatten(1), fragments.pix_to_face.flatten(1) >= 0
    near = torch.where(covered, depth, torch.inf).amin(dim=1)
    far = torch.where(covered, depth, -torch.inf).amax(dim=1)
    near, far = torch.where(near <= far, near, 0.0), torch.where(near <= far, far, 1.0)  # an empty image
    return near, far + 0.1 * (far - near) + 1e-6 * far.abs() + 1e-12


def front_fragments(pix_to_face: Int[Tensor, "B H W K"], front: Bool[Tensor, "F"]) -> Int[Tensor, "B H W K"]:
    """Packed face indices with those of faces that are not `front` replaced by -1."""
    if len(front) == 0:
        return pix_to_face
    return torch.where(front[pix_to_face.clamp_min(0)], pix_to_face, -1)


def view_normals(cameras, meshes: Meshes) -> Float[Tensor, "V 3"]:
    """Packed unit vertex normals (area-weighted) in camera space: x right, y up, z towards the viewer."""
    normals = meshes.verts_normals_padded()
    view = cameras.get_world_to_view_transform().transform_normals(normals)
    packed = view.flatten(0, 1)[meshes.verts_padded_to_packed_idx()]
    # PyTorch3D's camera space is x left, y up, z forward.
    return packed * packed.new_tensor([-1.0, 1.0, -1.0])


def faces_turned_to(cameras, meshes: Meshes) -> Bool[Tensor, "F"]:
    """Which packed faces the cameras see counter-clockwise."""
    with torch.no_grad():
        points = cameras.transform_points_ndc(meshes.verts_padded()).flatten(0, 1)
        corners = points[meshes.verts_padded_to_packed_idx()][meshes.faces_packed()]
        return doubled_area(*(corner[..., :2].unbind(-1) for corner in corners.unbind(1))) > 0
