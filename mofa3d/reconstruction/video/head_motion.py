"""How one face moves through the frames of a video, in terms that do not depend on how each frame was cropped.

The camera of a code looks along the middle of its crop, and the crop follows the face, so codes of neighbouring frames
are numbers in different cameras: a steady face in trembling crops has trembling codes. A path says instead where the
model's origin is seen in the frame, at which scale and distance, and how the head is turned against the line of sight.
Every frame's own camera then looks straight at the origin; its crop and its code follow from the path.

One camera for all crops would need the video's true focal length, which a code does not know: that of its camera
belongs to the crop, and under it a face beside the middle of the frame would be stretched.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float
from pytorch3d.transforms import axis_angle_to_matrix
from scipy.spatial.transform import Rotation
from torch import Tensor

from mofa3d.camera import Camera
from mofa3d.data.crop_transform import CropTransform
from mofa3d.harmonics import rolled
from mofa3d.semantic_code import SemanticCode


@dataclass(frozen=True)
class FacePath:
    """Where a face is in each of K frames, and what it does there.

    Attributes:
        origin: (K, 2) where the model's origin is seen, pixels of the frame.
        distance: (K,) of the origin from the camera's plane, mm.
        scale: (K,) crop pixels per pixel of the frame.
        roll: (K,) degrees by which the crop is turned clockwise in the frame, without jumps from 180 to -180.
        turn: (K, 3, 3) from model to camera space, which is turned with the crop.
        expression: (K, E) δ.
        illumination: (K, 9, 3) γ of a camera that stands upright in the frame, where lamps keep their place when the
            head, and with it the crop, rolls.
    """

    origin: Float[np.ndarray, "K 2"]
    distance: Float[np.ndarray, "K"]
    scale: Float[np.ndarray, "K"]
    roll: Float[np.ndarray, "K"]
    turn: Float[np.ndarray, "K 3 3"]
    expression: Float[np.ndarray, "K E"]
    illumination: Float[np.ndarray, "K 9 3"]

    def __len__(self) -> int:
        return len(self.distance)

    def __getitem__(self, index: slice | np.ndarray) -> FacePath:
        return FacePath(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def transforms(self, camera: Camera) -> list[CropTransform]:
        """The crop in whose middle each frame's origin is seen."""
        size = camera.image_size
        places = zip(self.origin.tolist(), self.scale.tolist(), self.roll.tolist(), strict=True)
        return [CropTransform.around((x, y), size / scale, roll, size) for (x, y), scale, roll in places]

    def codes(self, camera: Camera, shape: Float[Tensor, "S"], reflectance: Float[Tensor, "R"]) -> SemanticCode:
        """Codes for the crops of `transforms`, all with the same identity."""
        offset = np.zeros((len(self), 3))
        offset[:, 2] = camera.rest_distance - self.distance
        # Camera space is R⁻¹ (v − t) (Tewari et al. 2017, Sec. 5), so R is the inverse of the turn.
        rotation = Rotation.from_matrix(self.turn).inv()
        blocks = {
            "expression": self.expression,
            "rotation": rotation.as_rotvec().reshape(-1, 3),
            "translation": -rotation.apply(offset).reshape(-1, 3),
            "illumination": rolled(torch.from_numpy(self.illumination), torch.from_numpy(-self.roll)).numpy(),
        }
        tensors = {name: torch.from_numpy(values).to(shape) for name, values in blocks.items()}
        return SemanticCode(shape=shape.expand(len(self), -1), reflectance=reflectance.expand(len(self), -1), **tensors)

    def in_one_camera(self, codes: SemanticCode, camera: Camera, middle: Float[np.ndarray, "2"]) -> SemanticCode:
        """The same codes with translations through a space that the whole video shares, for animations.

        A camera that keeps its place and scale, the median of the crops', and stands upright sees the origin at the
        frame's pixel and at the frame's size; how the head is turned stays as it looks.

        Args:
            codes: of this path.
            camera: of the crops.
            middle: the frame's, pixels.
        """
        focal = camera.focal / float(np.median(self.scale))
        distance = self.distance * self.scale * focal / camera.focal
        offset = (self.origin - middle) * [1.0, -1.0] * (distance / focal)[:, None]
        place = np.column_stack([offset, camera.rest_distance - distance])
        # Clockwise where y points up is a negative turn about z.
        upright = Rotation.from_euler("z", -self.roll[:, None], degrees=True) * Rotation.from_matrix(self.turn)
        rotation = upright.inv().as_rotvec().reshape(-1, 3)
        translation = -upright.inv().apply(place).reshape(-1, 3)
        return codes.replace(
            rotation=torch.from_numpy(rotation).to(codes.rotation),
            translation=torch.from_numpy(translation).to(codes.translation),
            illumination=torch.from_numpy(self.illumination).to(codes.illumination),
        )


def path_of(codes: SemanticCode, transforms: list[CropTransform], camera: Camera) -> FacePath:
    """The path that codes and their crops describe.

    The landmarks stay where they are but for what a camera sees otherwise when it turns by the few degrees from a
    crop's middle to the origin: some hundredths of a pixel.
    """
    turn = axis_angle_to_matrix(codes.rotation.double()).transpose(1, 2).cpu()
    place = -(turn @ codes.translation.double().cpu()[..., None])[..., 0]
    seen = camera.project(place).numpy()
    scale = np.array([transform.scale for transform in transforms])
    roll = np.unwrap(np.array([transform.roll for transform in transforms]), period=360.0)
    origin = [transform.to_photo(point) for transform, point in zip(transforms, seen, strict=True)]
    distance = camera.depth(place).numpy()
    away = place.numpy() - [0.0, 0.0, camera.rest_distance]
    return FacePath(
        origin=np.array(origin).reshape(-1, 2),
        distance=distance,
        scale=scale,
        roll=roll,
        turn=(_to_the_middle(away) * Rotation.from_matrix(turn.numpy())).as_matrix(),
        expression=codes.expression.double().cpu().numpy(),
        illumination=rolled(codes.illumination.double().cpu(), torch.from_numpy(roll)).numpy(),
    )


def _to_the_middle(rays: Float[np.ndarray, "K 3"]) -> Rotation:
    """The least rotations that turn rays from the camera to its axis, -z."""
    rays = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    axis = np.cross(rays, [0.0, 0.0, -1.0])
    length = np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.arctan2(length, -rays[:, 2:])
    return Rotation.from_rotvec(axis / np.maximum(length, 1e-12) * angle)
