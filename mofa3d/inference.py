"""From a photograph to its reconstruction with a trained encoder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa3d import pictures
from mofa3d.checkpoints import open_run
from mofa3d.data.crop import CropTransform, crop_face
from mofa3d.data.detect import FaceBox, detect_faces
from mofa3d.data.photo import Photo, to_tensor
from mofa3d.decoder import Decoder
from mofa3d.encoders import Encoder
from mofa3d.scene import Renderer, Scene
from mofa3d.semantic_code import SemanticCode


@dataclass(frozen=True)
class Reconstruction:
    """One face of one photograph.

    Attributes:
        box: where it was found.
        crop: (3, H, W) in 0 to 1, what the encoder saw.
        transform: from the photograph to the crop.
        code: a batch of one.
        scene: a batch of one; its pixels are those of the crop.
    """

    box: FaceBox
    crop: Float[Tensor, "3 H W"]
    transform: CropTransform
    code: SemanticCode
    scene: Scene


class Reconstructor:
    """Reconstructs the faces of photographs.

    Args:
        encoder, decode: see `mofa3d.checkpoints.open_run`.
        device: where to run them.
    """

    def __init__(self, encoder: Encoder, decode: Decoder, device: str = "cpu") -> None:
        self.encoder = encoder.eval().to(device)
        self.decode = decode.to(device)
        self.device = device

    @classmethod
    def open(cls, run: Path, device: str = "cpu") -> Reconstructor:
        """From a training run's folder or checkpoint; see `open_run` for what can go wrong."""
        return cls(*open_run(run), device=device)

    @torch.no_grad()
    def __call__(self, photo: Photo, every_face: bool = False) -> list[Reconstruction]:
        """Reconstruct the most prominent face, or every face.

        Raises:
            ValueError: no face was found.
        """
        boxes = detect_faces(photo)
        if not boxes:
            raise ValueError("no face was found; give a photograph with a clear, roughly frontal face")
        return [self._reconstruct(photo, box) for box in (boxes if every_face else boxes[:1])]

    def _reconstruct(self, photo: Photo, box: FaceBox) -> Reconstruction:
        pixels, transform = crop_face(photo, box, self.decode.camera.image_size)
        crop = to_tensor(pixels).to(self.device)
        code = SemanticCode.from_vector(self.encoder(crop[None]), self.decode.model.sizes)
        return Reconstruction(box, crop, transform, code, self.decode(code))


def lay_over(photo: Photo, reconstruction: Reconstruction, render: Renderer) -> UInt8[np.ndarray, "H W 3"]:
    """The rendered face laid over the whole photograph.

    Args:
        render: a raster backend with a black background, as `make_renderer("cpu")`.
    """
    height, width = photo.shape[:2]
    with torch.no_grad():
        rgba = render(reconstruction.scene).image[0].permute(1, 2, 0).cpu().numpy()
    t = reconstruction.transform
    # OpenCV counts pixel centres from 0, we from 0.5.
    left, top = t.left + 0.5 / t.scale - 0.5, t.top + 0.5 / t.scale - 0.5
    to_photo = np.array([[1 / t.scale, 0, left], [0, 1 / t.scale, top]], dtype=np.float64)
    layer = cv2.warpAffine(rgba, to_photo, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    mixed = 255 * layer[..., :3] + (1 - layer[..., 3:]) * photo
    return mixed.round().clip(0, 255).astype(np.uint8)


def crop_panels(reconstruction: Reconstruction, render: Renderer) -> UInt8[np.ndarray, "H W5 3"]:
    """Crop, overlay, geometry, reflectance and illumination side by side."""
    return pictures.panels(reconstruction.scene, render, reconstruction.crop[None])[0]
