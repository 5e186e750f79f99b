"""The camera, and the coordinate conventions of the whole project.

Model space
    Right-handed, millimetres. +X to the subject's left, +Y up, +Z out of the face. The origin is inside the head,
    placed so that the projected mean face is in the middle of the image.
Camera space
    ``p = R^-1 (v - t)`` with ``R = exp(rotation)`` (Tewari et al. 2017, Sec. 5): x right, y up, z towards the viewer.
    The camera is at (0, 0, rest_distance) and looks along -z: ``depth = rest_distance - p_z`` is positive in front.
Pixels
    x right, y down; the centre of the top-left pixel is (0.5, 0.5).
    ``u_x = W/2 + f p_x / depth``, ``u_y = H/2 - f p_y / depth``.
PyTorch3D
    Its camera space is x left, y up, z forward: ``(-p_x, p_y, depth)``. Only `Camera.pytorch3d` converts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from pytorch3d.transforms import axis_angle_to_matrix
from torch import Tensor, nn

from mofa3d.errors import InputError

if TYPE_CHECKING:
    from pytorch3d.renderer import PerspectiveCameras


FOCAL_PER_PIXEL = 4.53125  # focal length over image width: 1087.5 px at 240 px
# The average frontal face covers about this part of the image, so that area weights sum to about 1 on it, as 1/N does.
FACE_FRACTION = 0.44


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with a square image; the conventions are in the module's docstring.

    Attributes:
        image_size: width and height in pixels.
        focal: focal length in pixels; ``None`` means 4.53125 times the width.
        rest_distance: distance from the camera to the model's origin at zero translation, in millimetres.
    """

    image_size: int = 240
    focal: float = None  # type: ignore[assignment]  # `__post_init__` puts a number in its place
    rest_distance: float = 1000.0

    def __post_init__(self) -> None:
        if self.image_size < 1:
            raise InputError(f"image_size must be at least 1 pixel, got {self.image_size}")
        if self.focal is None:
            object.__setattr__(self, "focal", FOCAL_PER_PIXEL * self.image_size)

    def to_camera(
        self, vertices: Float[Tensor, "B N 3"], rotation: Float[Tensor, "B 3"], translation: Float[Tensor, "B 3"]
    ) -> Float[Tensor, "B N 3"]:
        """Move model-space points (mm) into camera space (mm): ``R^-1 (v - t)``.

        Reference: Tewari et al. 2017, Sec. 5.
        """
        # Points are rows, so multiplying by R on the right applies its transpose, which is its inverse.
        return (vertices - translation[:, None]) @ axis_angle_to_matrix(rotation)

    def depth(self, positions: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B"]:
        """Distance of camera-space points (mm) from the plane of the camera, positive in front of it."""
        return self.rest_distance - positions[..., 2]

    def project(self, positions: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 2"]:
        """Project camera-space points (mm) to pixels."""
        scale = self.focal / self.depth(positions)
        half = self.image_size / 2
        return torch.stack([half + scale * positions[..., 0], half - scale * positions[..., 1]], dim=-1)

    def projection_jacobian(self, positions: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 2 3"]:
        """Derivatives of `project`: pixels per millimetre of camera-space points."""
        x, y, _ = positions.unbind(-1)
        depth = self.depth(positions)
        scale = self.focal / depth
        zero = torch.zeros_like(scale)
        rows = [torch.stack([scale, zero, scale * x / depth], -1), torch.stack([zero, -scale, -scale * y / depth], -1)]
        return torch.stack(rows, dim=-2)

    def pytorch3d(self, rotation: Float[Tensor, "B 3"], translation: Float[Tensor, "B 3"]) -> PerspectiveCameras:
        """The same camera as PyTorch3D cameras that take model-space points (mm)."""
        from pytorch3d.renderer import PerspectiveCameras

        flip = rotation.new_tensor([-1.0, 1.0, -1.0])  # (right, up, to the viewer) -> PyTorch3D's (left, up, forward)
        to_view = axis_angle_to_matrix(rotation) * flip
        offset = rotation.new_tensor([0.0, 0.0, self.rest_distance])
        half = self.image_size / 2
        return PerspectiveCameras(
            focal_length=self.focal,
            principal_point=((half, half),),
            R=to_view,
            T=offset - torch.einsum("bi,bij->bj", translation, to_view),
            image_size=((self.image_size, self.image_size),),
            in_ndc=False,
            device=rotation.device,
        )


def sample(image: Float[Tensor, "B C H W"], positions: Float[Tensor, "B S 2"]) -> Float[Tensor, "B C S"]:
    """Sample images bilinearly at pixel positions (top-left pixel centre at 0.5); border pixels extend outwards."""
    height, width = image.shape[-2:]
    grid = 2 * positions / positions.new_tensor([width, height]) - 1
    samples = nn.functional.grid_sample(image, grid[:, None], padding_mode="border", align_corners=False)
    return samples[:, :, 0]


def inside(positions: Float[Tensor, "B S 2"], image: Float[Tensor, "B C H W"]) -> Tensor:
    """Which positions are inside the image."""
    size = positions.new_tensor([image.shape[-1], image.shape[-2]])
    return ((positions >= 0) & (positions <= size)).all(dim=-1)
