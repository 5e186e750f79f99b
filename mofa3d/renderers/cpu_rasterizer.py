"""A z-buffer rasterizer for the CPU that returns what PyTorch3D's does, hundreds of times faster.

Differentiable: barycentric coordinates and depth, with respect to the vertices' pixel positions and depths. Not
differentiable: which face is seen (use antialiasing for the gradient at silhouettes) and `dists`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mofa3d.kernels import parallel
from mofa3d.renderers import raster_kernels

if TYPE_CHECKING:
    from pytorch3d.renderer.mesh.rasterizer import Fragments as Pytorch3dFragments
    from pytorch3d.renderer.mesh.rasterizer import RasterizationSettings
    from pytorch3d.structures import Meshes

    from mofa3d.renderers.rasterized import RasterizedRenderer
    from mofa3d.scene import Scene


@dataclass(frozen=True)
class Fragments:
    """What is seen at each pixel, as in PyTorch3D's class of this name, whose import loads all of its compiled part.

    Attributes:
        pix_to_face: packed face index (index + image·F), -1 where empty.
        zbuf: distance from the camera's plane; -1 where empty.
        bary_coords: weights of the face's three vertices; -1 where empty.
        dists: minus the squared distance to the face's border in NDC; -1 where empty.
    """

    pix_to_face: Int[Tensor, "B H W K"]
    zbuf: Float[Tensor, "B H W K"]
    bary_coords: Float[Tensor, "B H W K 3"]
    dists: Float[Tensor, "B H W K"]


def rasterize(
    pixels: Float[Tensor, "B N 2"],
    depth: Float[Tensor, "B N"],
    faces: Int[Tensor, "F 3"],
    image_size: int | tuple[int, int],
    cull_backfaces: bool = False,
    perspective_correct: bool = True,
    only_depth: bool = False,
) -> Fragments:
    """Find the nearest face at each pixel centre of a batch of images of one triangulation.

    Args:
        pixels: vertices in pixels, x right, y down, the centre of the top-left pixel at (0.5, 0.5).
        depth: distance of the vertices from the camera's plane; faces that reach behind 1e-8 are dropped whole.
        faces: vertex indices, counter-clockwise seen from outside.
        image_size: height and width, or one number for both.
        cull_backfaces: leave out faces that are seen clockwise.
        perspective_correct: `depth` is that of a perspective camera, so its inverse is linear in the image.
        only_depth: find out `pix_to_face` and `zbuf` alone, in half the time; the others are -1, and nothing is
            differentiable.

    Returns:
        `Fragments` with one face per pixel: `pix_to_face` (B, H, W, 1) packed (index + image·F, -1 where empty),
        `bary_coords` (B, H, W, 1, 3) perspective-correct, `zbuf` (B, H, W, 1) in the unit of `depth`, `dists`
        (B, H, W, 1) minus the squared distance to the face's border in NDC; -1 where empty.

    Raises:
        ValueError: shapes do not fit, tensors are not on the CPU, or `faces` points past the vertices.
    """
    if pixels.ndim != 3 or pixels.shape[-1] != 2 or depth.shape != pixels.shape[:2]:
        raise ValueError(
            f"expected pixels (B, N, 2) and depth (B, N), got {tuple(pixels.shape)} and {tuple(depth.shape)}"
        )
    batch, count, _ = pixels.shape
    faces = _check_faces(faces, count)
    first_faces = [image * len(faces) for image in range(batch)]
    settings = _Settings(_height_width(image_size), perspective_correct, cull_backfaces, only_depth)
    return _fragments(_Rasterize.apply(pixels, depth, [faces] * batch, first_faces, settings))


class CpuRasterizer(nn.Module):
    """Drop-in for `pytorch3d.renderer.MeshRasterizer` with one face per pixel and no blur.

    Args:
        cameras: PyTorch3D cameras; may be given to `forward` instead.
        raster_settings: PyTorch3D's `RasterizationSettings`. `image_size`, `cull_backfaces` and `perspective_correct`
            are followed; settings that only steer PyTorch3D's speed are ignored. Triangles that reach behind the
            camera are dropped whole, never clipped. The default, unlike PyTorch3D's, is the same: 256, one face, hard.

    Raises:
        ValueError: the settings ask for several faces per pixel, blur or clipping.
    """

    def __init__(self, cameras=None, raster_settings: RasterizationSettings | None = None) -> None:
        super().__init__()
        if raster_settings is None:
            from pytorch3d.renderer.mesh.rasterizer import RasterizationSettings

            raster_settings = RasterizationSettings()
        _check_supported(raster_settings)
        self.cameras = cameras
        self.raster_settings = raster_settings

    def to(self, device):
        """Move the cameras too, which are not a module (as PyTorch3D's rasterizer does)."""
        if self.cameras is not None:
            self.cameras = self.cameras.to(device)
        return super().to(device)

    def forward(self, meshes_world: Meshes, **kwargs) -> Pytorch3dFragments:
        """Rasterize meshes in world space; `cameras` and `raster_settings` in `kwargs` override the constructor's.

        Raises:
            ValueError: no cameras, as many as neither 1 nor the meshes, or settings that are not supported.
        """
        settings = kwargs.get("raster_settings", self.raster_settings)
        _check_supported(settings)
        cameras = kwargs.get("cameras", self.cameras)
        if cameras is None:
            raise ValueError("CpuRasterizer needs cameras: give them to the constructor or to forward as cameras=...")
        count = len(meshes_world)
        if len(cameras) not in (1, count):
            raise ValueError(f"expected 1 or {count} cameras for {count} meshes, got {len(cameras)}")

        height, width = _height_width(settings.image_size)
        pixels, depth = _to_pixels(meshes_world, cameras, height, width, kwargs)
        faces = _check_faces(meshes_world.faces_packed(), len(pixels))
        counts = meshes_world.num_faces_per_mesh().tolist()
        first_faces = np.cumsum([0, *counts])[:-1].tolist()
        per_mesh = list(faces.split(counts))
        perspective = settings.perspective_correct
        if perspective is None:
            perspective = cameras.is_perspective()
        options = _Settings((height, width), perspective, settings.cull_backfaces)
        found = _fragments(_Rasterize.apply(pixels, depth, per_mesh, first_faces, options))
        from pytorch3d.renderer.mesh.rasterizer import Fragments as Pytorch3dFragments

        return Pytorch3dFragments(**vars(found))


def make_cpu_renderer(
    antialias: bool = True, background: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> RasterizedRenderer:
    """The "cpu" renderer; `antialias` gives gradients at silhouettes, `background` is RGB."""
    from mofa3d.renderers.rasterized import RasterizedRenderer

    if not antialias:
        return RasterizedRenderer(rasterize_scene, None, background)
    from mofa3d.renderers.antialias import SilhouetteAntialias

    return RasterizedRenderer(rasterize_scene, SilhouetteAntialias(), background)


def rasterize_scene(scene: Scene) -> Fragments:
    """The faces of a scene that are turned to the camera, straight from its projected vertices."""
    return rasterize(scene.pixels, scene.depth, scene.faces, scene.camera.image_size, cull_backfaces=True)


def _to_pixels(meshes: Meshes, cameras, height: int, width: int, overrides: dict) -> tuple[Tensor, Tensor]:
    """Packed vertices in pixels (V, 2) and their depth in camera space (V,); `overrides` may hold R and T."""
    vertices = meshes.verts_padded()
    depth = cameras.get_world_to_view_transform(**overrides).transform_points(vertices)[..., 2]
    ndc = cameras.transform_points_ndc(vertices, **overrides)[..., :2]
    # NDC is x left and y up, from -1 to 1 along the shorter side.
    pixels = ndc.new_tensor([width / 2, height / 2]) - ndc * (min(height, width) / 2)
    packed = meshes.verts_padded_to_packed_idx()
    return pixels.flatten(0, 1)[packed], depth.flatten()[packed]


def _check_supported(settings: RasterizationSettings) -> None:
    unsupported = {
        "faces_per_pixel": settings.faces_per_pixel != 1,
        "blur_radius": settings.blur_radius != 0.0,
        "z_clip_value": settings.z_clip_value is not None,
    }
    for name, given in unsupported.items():
        if given:
            expected = {"faces_per_pixel": 1, "blur_radius": 0.0, "z_clip_value": None}[name]
            raise ValueError(
                f"CpuRasterizer supports only {name}={expected}, got {getattr(settings, name)}; "
                "use pytorch3d.renderer.MeshRasterizer for that"
            )


def _check_faces(faces: Tensor, count: int) -> Tensor:
    """Faces as contiguous int64 on the CPU; the kernels do not check bounds, so this must."""
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(f"expected faces (F, 3), got {tuple(faces.shape)}")
    if faces.device.type != "cpu":
        raise ValueError(
            f"the CPU rasterizer takes tensors on the CPU, got {faces.device}; use another renderer or .cpu()"
        )
    faces = faces.to(torch.int64).contiguous()
    if len(faces):
        low, high = faces.aminmax()
        if low < 0 or high >= count:
            raise ValueError(f"faces must index {count} vertices, got indices from {int(low)} to {int(high)}")
    return faces


def _height_width(image_size: int | tuple[int, int]) -> tuple[int, int]:
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    if height < 1 or width < 1:
        raise ValueError(f"image_size must be at least 1 pixel, got {image_size}")
    return int(height), int(width)


@dataclass(frozen=True)
class _Settings:
    image_size: tuple[int, int]
    perspective: bool
    cull_backfaces: bool
    only_depth: bool = False


def _fragments(outputs: tuple[Tensor, Tensor, Tensor, Tensor]) -> Fragments:
    pix_to_face, bary, zbuf, dists = outputs
    return Fragments(
        pix_to_face=pix_to_face[..., None],
        zbuf=zbuf[..., None],
        bary_coords=bary[..., None, :],
        dists=dists[..., None],
    )


class _Rasterize(torch.autograd.Function):
    """(pixels, depth) -> (pix_to_face, bary, zbuf, dists) without the faces-per-pixel dimension.

    `pixels` is (B, N, 2) with faces local to each image, or packed (V, 2) with faces that index all of it.
    """

    @staticmethod
    def forward(ctx, pixels, depth, faces, first_faces, settings):
        if pixels.device.type != "cpu" or pixels.dtype not in (torch.float32, torch.float64):
            raise ValueError(
                "the CPU rasterizer takes float32 or float64 tensors on the CPU, "
                f"got {pixels.dtype} on {pixels.device}; use another renderer or .cpu().float()"
            )
        batch, (height, width) = len(faces), settings.image_size
        pixels, depth = pixels.detach().contiguous(), depth.detach().to(pixels.dtype).contiguous()
        face_index = pixels.new_empty(batch, height, width, dtype=torch.int64)
        zbuf = pixels.new_empty(batch, height, width)
        if settings.only_depth:
            bary, dists = pixels.new_full((), -1).expand(*zbuf.shape, 3), pixels.new_full((), -1).expand(zbuf.shape)
        else:
            bary, dists = pixels.new_empty(*zbuf.shape, 3), torch.empty_like(zbuf)
        to_ndc = 2.0 / min(height, width)

        def render_band(image: int, first_row: int, last_row: int) -> None:
            geometry = (*_image(image, pixels.numpy(), depth.numpy(), packed=pixels.ndim == 2), faces[image].numpy())
            rows = (first_row, last_row)
            nearest, best = face_index[image].numpy(), np.empty((last_row - first_row, width))
            options = (settings.perspective, settings.cull_backfaces)
            raster_kernels.find_nearest_faces(*geometry, *rows, *options, nearest, best)
            if settings.only_depth:
                part = slice(first_row, last_row)
                _locate_depth(nearest[part], best, first_faces[image], settings.perspective, zbuf[image, part].numpy())
                return
            outputs = (nearest, bary[image].numpy(), zbuf[image].numpy(), dists[image].numpy())
            raster_kernels.locate(*geometry, *rows, settings.perspective, first_faces[image], to_ndc, *outputs)

        bands = parallel.split_rows(height, batch)
        parallel.run(render_band, [(image, *band) for image in range(batch) for band in bands])
        ctx.save_for_backward(pixels, depth, face_index)
        ctx.faces, ctx.first_faces, ctx.settings = faces, first_faces, settings
        ctx.mark_non_differentiable(face_index, dists, *((bary, zbuf) if settings.only_depth else ()))
        return face_index, bary, zbuf, dists

    @staticmethod
    def backward(ctx, _grad_index, grad_bary, grad_zbuf, _grad_dists):
        pixels, depth, face_index = ctx.saved_tensors
        grad_bary, grad_zbuf = grad_bary.contiguous(), grad_zbuf.contiguous()
        batch, height, _ = face_index.shape
        bands = parallel.split_rows(height, batch)
        # Bands of one image share vertices, so each band number adds into a buffer of its own.
        grad_pixels, grad_depth = pixels.new_zeros(len(bands), *pixels.shape), depth.new_zeros(len(bands), *depth.shape)

        def backward_band(image: int, band: int) -> None:
            packed = pixels.ndim == 2
            geometry = (*_image(image, pixels.numpy(), depth.numpy(), packed=packed), ctx.faces[image].numpy())
            inputs = (face_index[image].numpy(), grad_bary[image].numpy(), grad_zbuf[image].numpy())
            outputs = _image(image, grad_pixels[band].numpy(), grad_depth[band].numpy(), packed=packed)
            raster_kernels.locate_backward(
                *geometry, *bands[band], ctx.settings.perspective, ctx.first_faces[image], *inputs, *outputs
            )

        parallel.run(backward_band, [(image, band) for image in range(batch) for band in range(len(bands))])
        return grad_pixels.sum(0), grad_depth.sum(0), None, None, None


def _locate_depth(nearest: np.ndarray, best: np.ndarray, first_face: int, perspective: bool, zbuf: np.ndarray) -> None:
    """Of `raster_kernels.locate` what follows from how near the faces are."""
    empty = nearest < 0
    np.divide(1, best, out=zbuf, casting="same_kind") if perspective else np.negative(best, out=zbuf)
    zbuf[empty] = -1
    if first_face:
        nearest[~empty] += first_face


def _image(image: int, *arrays: np.ndarray, packed: bool) -> tuple[np.ndarray, ...]:
    """The part of vertex arrays that one image's faces index: all of it when packed."""
    return arrays if packed else tuple(array[image] for array in arrays)
