"""The parametric decoder: semantic code to scene (Tewari et al. 2017, Secs. 4 and 5)."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from mofa3d import harmonics
from mofa3d.camera import Camera
from mofa3d.morphable_model import MorphableModel
from mofa3d.normals import VertexNormals
from mofa3d.scene import Scene
from mofa3d.semantic_code import SemanticCode


class Decoder(nn.Module):
    """Turn semantic codes into scenes; differentiable with respect to every block of the code.

    Args:
        model: the morphable model; it stays shared, not copied.
        camera: the camera that sees the face.
    """

    def __init__(self, model: MorphableModel, camera: Camera | None = None) -> None:
        super().__init__()
        self.model = model
        self.camera = camera or Camera()
        self.vertex_normals = VertexNormals(model.faces, len(model.mean_shape))

    def forward(self, code: SemanticCode) -> Scene:
        """Geometry, pose, light and projection of a batch of codes.

        Raises:
            ValueError: the code's sizes are not the model's.
        """
        if code.sizes != self.model.sizes:
            raise ValueError(f"the model {self.model.name!r} takes codes of {self.model.sizes}, got {code.sizes}")
        vertices = self.model.geometry(code.shape, code.expression)
        reflectance = self.model.reflectance(code.reflectance)
        positions = self.camera.to_camera(vertices, code.rotation, code.translation)
        normals = self.vertex_normals(positions)
        pixels = self.camera.project(positions)
        return Scene(
            camera=self.camera,
            faces=self.model.faces,
            frontal=self.model.frontal,
            vertices=vertices,
            reflectance=reflectance,
            rotation=code.rotation,
            translation=code.translation,
            illumination=code.illumination,
            positions=positions,
            normals=normals,
            front_facing=front_facing(positions, normals, self.camera),
            pixels=pixels,
            colors=reflectance * harmonics.irradiance(normals, code.illumination),
            landmarks=self.camera.project(self.model.landmarks(positions)),
        )


def front_facing(
    positions: Float[Tensor, "B N 3"], normals: Float[Tensor, "B N 3"], camera: Camera
) -> Bool[Tensor, "B N"]:
    """Which vertices look at the camera: normal · (camera − vertex) > 0, in camera space (the set 𝒱 of Eq. 8)."""
    position, normal = positions.detach(), normals.detach()
    to_camera_z = camera.rest_distance - position[..., 2]
    return normal[..., 2] * to_camera_z - (normal[..., :2] * position[..., :2]).sum(-1) > 0
