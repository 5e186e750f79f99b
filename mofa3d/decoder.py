"""The parametric decoder: semantic code to scene (Tewari et al. 2017, Secs. 4 and 5)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mofa3d import harmonics
from mofa3d.camera import Camera
from mofa3d.environment.torch_settings import plain_settings
from mofa3d.kernels.normals import VertexNormals
from mofa3d.morphable_model import MorphableModel
from mofa3d.scene import Scene, Surface, Surroundings, front_facing
from mofa3d.semantic_code import SemanticCode


def see_plainly(
    vertices: Float[Tensor, "B N 3"],
    reflectance: Float[Tensor, "B N 3"],
    around: Surroundings,
    vertex_normals: VertexNormals,
    camera: Camera,
) -> Surface:
    """The reference: the equations of `camera`, `normals` and `harmonics`, one after the other."""
    positions = camera.to_camera(vertices, around.rotation, around.translation)
    normals = vertex_normals(positions)
    colors = reflectance * harmonics.irradiance(normals, around.illumination)
    return Surface(positions, normals, camera.project(positions), colors, front_facing(positions, normals, camera))


class Decoder(nn.Module):
    """Turn semantic codes into scenes; differentiable with respect to every block of the code.

    Args:
        model: the morphable model; shared, not copied.
        camera: the camera that sees the face.
        fused: use the fast path where available (on the CPU), which has first derivatives only; without it, derivatives
            of any order are available.
    """

    @plain_settings()
    def __init__(self, model: MorphableModel, camera: Camera | None = None, fused: bool = True) -> None:
        super().__init__()
        self.fused = fused
        self.model = model
        self.camera = camera or Camera()
        self.vertex_normals = VertexNormals(model.faces, len(model.mean_shape))

    def forward(self, code: SemanticCode) -> Scene:
        """Geometry, pose, light and projection of a batch of codes.

        Raises:
            ValueError: the sizes of the code are not those of the model.
        """
        if code.sizes != self.model.sizes:
            raise ValueError(f"the model {self.model.name!r} takes codes of {self.model.sizes}, got {code.sizes}")
        with torch.autocast(code.shape.device.type, enabled=False):  # pixels need all their digits
            return self._see(code)

    def _see(self, code: SemanticCode) -> Scene:
        vertices = self.model.geometry(code.shape, code.expression)
        reflectance = self.model.reflectance(code.reflectance)
        around = Surroundings(code.rotation, code.translation, code.illumination)
        if self.fused and vertices.device.type == "cpu":
            from mofa3d.kernels.surface import see  # here: fused losses need no surface

            surface = see(vertices, reflectance, around, self.model.faces, self.camera)
        else:
            surface = see_plainly(vertices, reflectance, around, self.vertex_normals, self.camera)
        return Scene(
            camera=self.camera,
            faces=self.model.faces,
            frontal=self.model.frontal,
            vertices=vertices,
            reflectance=reflectance,
            rotation=code.rotation,
            translation=code.translation,
            illumination=code.illumination,
            positions=surface.positions,
            normals=surface.normals,
            front_facing=surface.front_facing,
            pixels=surface.pixels,
            colors=surface.colors,
            landmarks=self.camera.project(self.model.landmarks(surface.positions)),
        )
