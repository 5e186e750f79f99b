"""The camera of a photograph, as numbers that other programs take."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from pytorch3d.transforms import axis_angle_to_matrix
from scipy.spatial.transform import Rotation

from mofa3d.data.crop_transform import CropTransform
from mofa3d.files.whole import write_text
from mofa3d.scene import Scene

CONVENTION = (
    "Pinhole camera without distortion. X_camera = rotation · X_model + translation, in millimetres; camera axes: x to "
    "the right of the image, y down, z forward (as in OpenCV). pixel = (focal · x / z + centre_x, "
    "focal · y / z + centre_y) in the original photograph, upright: x right, y down, the centre of the top-left pixel "
    "is (0.5, 0.5), so subtract 0.5 where the first pixel's centre is (0, 0). Model axes: +x to the subject's left, "
    "+y up, +z out of the face; PLY and OBJ files are in millimetres (unless --units m was given), GLB files in metres."
)


@dataclass(frozen=True)
class PhotoCamera:
    """A pinhole camera in the convention of `CONVENTION`.

    Attributes:
        width, height: of the photograph, pixels.
        focal, centre_x, centre_y: pixels.
        rotation: (3, 3) rows, world to camera.
        translation: mm.
    """

    width: int
    height: int
    focal: float
    centre_x: float
    centre_y: float
    rotation: tuple[tuple[float, ...], ...]
    translation: tuple[float, ...]

    def project(self, points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 2"]:
        """Model space (mm) to pixels of the photograph."""
        x, y, z = (points @ np.array(self.rotation).T + np.array(self.translation)).T
        return np.stack([self.focal * x / z + self.centre_x, self.focal * y / z + self.centre_y], axis=1)


def photo_camera(scene: Scene, transform: CropTransform, height: int, width: int) -> PhotoCamera:
    """The camera that saw one reconstructed face.

    Args:
        scene: a batch of one, in the crop's pixels.
        transform: from the photograph to the crop.
        height, width: of the photograph.
    """
    to_model = axis_angle_to_matrix(scene.rotation[0].double()).cpu().numpy()
    flip = np.diag([1.0, -1.0, -1.0])  # (right, up, to the viewer) -> (right, down, forward)
    roll = Rotation.from_euler("z", transform.roll, degrees=True).as_matrix()  # clockwise, where y points down
    rotation = roll @ flip @ to_model.T
    rest = np.array([0.0, 0.0, scene.camera.rest_distance])
    translation = rest - rotation @ scene.translation[0].double().cpu().numpy()
    centre_x, centre_y = transform.to_photo(np.full(2, scene.camera.image_size / 2)).tolist()
    return PhotoCamera(
        width=width,
        height=height,
        focal=scene.camera.focal / transform.scale,
        centre_x=centre_x,
        centre_y=centre_y,
        rotation=tuple(map(tuple, rotation.tolist())),
        translation=tuple(translation.tolist()),
    )


def write_camera(path: Path, camera: PhotoCamera) -> None:
    """Write a camera as JSON, with its convention in words."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"convention": CONVENTION, **asdict(camera)}, indent=1) + "\n")
