"""`Scene`, what the decoder passes to a renderer, and `Rendering`, what a renderer passes to the loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor

from mofa3d.camera import Camera

if TYPE_CHECKING:
    from pytorch3d.renderer import PerspectiveCameras
    from pytorch3d.structures import Meshes


class Surface(NamedTuple):
    """A batch of surfaces before the camera; see `mofa3d.scene.Scene` for what each means."""

    positions: Float[Tensor, "B N 3"]
    normals: Float[Tensor, "B N 3"]
    pixels: Float[Tensor, "B N 2"]
    colors: Float[Tensor, "B N 3"]
    front_facing: Bool[Tensor, "B N"]


class Surroundings(NamedTuple):
    """Pose and light of a batch: the blocks of the semantic code that are not the face's own."""

    rotation: Float[Tensor, "B 3"]
    translation: Float[Tensor, "B 3"]
    illumination: Float[Tensor, "B 9 3"]


def front_facing(
    positions: Float[Tensor, "B N 3"], normals: Float[Tensor, "B N 3"], camera: Camera
) -> Bool[Tensor, "B N"]:
    """Which vertices face the camera: normal · (camera − vertex) > 0, in camera space (the set 𝒱 of Eq. 8)."""
    position, normal = positions.detach(), normals.detach()
    to_camera_z = camera.rest_distance - position[..., 2]
    return normal[..., 2] * to_camera_z - (normal[..., :2] * position[..., :2]).sum(-1) > 0


@dataclass(frozen=True)
class Scene:
    """A batch of lit faces in front of a camera: the input of every renderer.

    Attributes:
        camera: the conventions and intrinsics.
        faces: (F, 3) triangles, one topology for the batch.
        frontal: (N,) the region that the photometric loss uses.
        vertices: (B, N, 3) model space, mm.
        reflectance: (B, N, 3) display RGB.
        rotation, translation: (B, 3) radians and mm.
        illumination: (B, 9, 3) spherical-harmonics code, without the ambient.
        positions: (B, N, 3) camera space, mm.
        normals: (B, N, 3) unit, camera space.
        front_facing: (B, N) the set 𝒱 of Eq. 8: normal · (camera − vertex) > 0. Not differentiable.
        pixels: (B, N, 2) projected vertices.
        colors: (B, N, 3) shaded vertices (Eq. 3), not clamped.
        landmarks: (B, 68, 2) projected iBUG points, pixels.
    """

    camera: Camera
    faces: Int[Tensor, "F 3"]
    frontal: Bool[Tensor, "N"]
    vertices: Float[Tensor, "B N 3"]
    reflectance: Float[Tensor, "B N 3"]
    rotation: Float[Tensor, "B 3"]
    translation: Float[Tensor, "B 3"]
    illumination: Float[Tensor, "B 9 3"]
    positions: Float[Tensor, "B N 3"]
    normals: Float[Tensor, "B N 3"]
    front_facing: Bool[Tensor, "B N"]
    pixels: Float[Tensor, "B N 2"]
    colors: Float[Tensor, "B N 3"]
    landmarks: Float[Tensor, "B 68 2"]

    def __len__(self) -> int:
        return self.vertices.shape[0]

    @property
    def depth(self) -> Float[Tensor, "B N"]:
        """Distance of the vertices from the camera's plane, mm."""
        return self.camera.depth(self.positions)

    # Building PyTorch3D's structures costs more than the rest of the decoder, and the vertex renderer needs neither:
    # they are made when first asked for.
    @cached_property
    def meshes(self) -> Meshes:
        """PyTorch3D meshes in model space with the reflectance as `TexturesVertex`."""
        from pytorch3d.renderer import TexturesVertex
        from pytorch3d.structures import Meshes

        faces = self.faces.expand(len(self), -1, -1)
        return Meshes(verts=self.vertices, faces=faces, textures=TexturesVertex(self.reflectance))

    @cached_property
    def cameras(self) -> PerspectiveCameras:
        """PyTorch3D cameras that project `meshes` as this scene does."""
        return self.camera.pytorch3d(self.rotation, self.translation)


@dataclass(frozen=True)
class Rendering:
    """Samples of a rendered image, which the photometric loss compares with the photograph, whatever the renderer.

    Attributes:
        positions: (B, S, 2) pixels.
        colors: (B, S, 3) display RGB.
        weights: (B, S), 0 for samples to ignore; they include the normalization of the loss (1/N in Eq. 8).
        image: (B, 4, H, W) RGBA from renderers that draw pixels, otherwise ``None``.
    """

    positions: Float[Tensor, "B S 2"]
    colors: Float[Tensor, "B S 3"]
    weights: Float[Tensor, "B S"]
    image: Float[Tensor, "B 4 H W"] | None = None

    def require_image(self) -> Float[Tensor, "B 4 H W"]:
        """The image; raises ValueError for a renderer that draws none, as "vertex"."""
        if self.image is None:
            raise ValueError("this needs a renderer that draws images, as make_renderer('cpu'); got one that does not")
        return self.image


Renderer = Callable[[Scene], Rendering]


def render_alike(render: Renderer, scenes: Sequence[Scene]) -> list[Rendering]:
    """Renderings of scenes that differ in reflectance and light only; in one go by renderers that can (`alike`)."""
    at_once = getattr(render, "alike", None)
    return [render(scene) for scene in scenes] if at_once is None else at_once(scenes)
