"""From a photograph to its reconstruction, whatever estimates the code: a trained encoder, or a fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa3d.data.crop import crop_face
from mofa3d.data.crop_transform import CropTransform
from mofa3d.data.detect import detect_faces
from mofa3d.data.doubts import Doubt, astray
from mofa3d.data.face_landmarker import DenseLandmarks
from mofa3d.data.found_face import FoundFace
from mofa3d.data.locate import locate
from mofa3d.data.photo import Photo, to_tensor
from mofa3d.decoder import Decoder
from mofa3d.encoders.checkpoint import open_run
from mofa3d.encoders.network import Encoder
from mofa3d.encoders.runtime import Runtime, choose_runtime
from mofa3d.encoders.weights import SHIPPED
from mofa3d.environment.torch_settings import plain_settings
from mofa3d.errors import InputError
from mofa3d.fitting.color_fit import ColorFit
from mofa3d.scene import Renderer, Scene
from mofa3d.semantic_code import SemanticCode

if TYPE_CHECKING:
    from mofa3d.pictures.overlay import Layer


@dataclass(frozen=True)
class Reconstruction:
    """One face of one photograph.

    Attributes:
        box: where it is.
        crop: (3, H, W) in 0 to 1, what the encoder saw.
        transform: from the photograph to the crop.
        code: a batch of one.
        scene: a batch of one; its pixels are those of the crop.
        warning: why the result may be poor, in words that complete "the face ...", or "".
    """

    box: FoundFace
    crop: Float[Tensor, "3 H W"]
    transform: CropTransform
    code: SemanticCode
    scene: Scene
    warning: str = ""


class FaceCrop(NamedTuple):
    """A face that was found in a photograph; see `Reconstruction` and `mofa3d.data.locate.LocatedFace`."""

    photo: Photo
    box: FoundFace
    pixels: Float[Tensor, "3 H W"]
    transform: CropTransform
    dense: DenseLandmarks | None = None
    doubt: Doubt | None = None


Estimate = Callable[[FaceCrop], SemanticCode]
Refine = Callable[[SemanticCode, FaceCrop], SemanticCode]


def fit_colors(decode: Decoder) -> Refine:
    """What fits reflectance and light of codes to their crops; see `ColorFit`."""
    fit = ColorFit(decode)
    return lambda code, crop: fit(code, crop.pixels[None])


def crop_at(photo: Photo, found: FoundFace, image_size: int, device: torch.device | str = "cpu") -> FaceCrop:
    """The upright crop of a face that was found, with its dense landmarks."""
    face, dense, doubt = locate(photo, found)
    pixels, transform = crop_face(photo, face, image_size)
    return FaceCrop(photo, face, to_tensor(pixels).to(device), transform, dense, doubt)


@torch.no_grad()
def reconstruct_faces(
    photo: Photo, decode: Decoder, estimate: Estimate, every_face: bool = False
) -> list[Reconstruction]:
    """Reconstruct the most prominent face of a photograph, or every face.

    Args:
        decode: gives the face and the size of the crops.
        estimate: from a crop to a batch of one code.

    Raises:
        InputError: no face was found.
    """
    found: list[Reconstruction] = []
    reason = "no face was found"
    for box in detect_faces(photo, every_face):
        crop = crop_at(photo, box, decode.camera.image_size, decode.model.mean_shape.device)
        if crop.doubt is not None and crop.doubt.refused:
            reason = f"no face was found: what looks like one {crop.doubt.reason}"
            continue
        found.append(reconstruction_of(crop, estimate(crop), decode))
        if not every_face:
            break
    if not found:
        raise InputError(f"{reason}; give a photograph with a clear, roughly frontal face")
    return found


def reconstruction_of(crop: FaceCrop, code: SemanticCode, decode: Decoder) -> Reconstruction:
    """What a code makes of a crop, with what is doubtful about either."""
    scene = decode(code)
    reasons = [] if crop.doubt is None else [crop.doubt.reason]
    if crop.dense is not None:
        landmarks = crop.transform.to_photo(scene.landmarks[0].double().cpu().numpy())
        reasons += filter(None, [astray(landmarks, crop.dense.points)])
    return Reconstruction(crop.box, crop.pixels, crop.transform, code, scene, " and ".join(reasons))


class Reconstructor:
    """Reconstructs the faces of photographs with a trained encoder.

    Args:
        encoder, decode: see `mofa3d.encoders.checkpoint.open_run`.
        device: where to run them.
        runtime: see `mofa3d.encoders.runtime.choose_runtime`.
        refine: makes what improves a predicted code: by default its colors are fitted, in some milliseconds;
            `mofa3d.reconstruction.refine.Refiner` fits everything; ``None`` leaves the encoder's prediction.
    """

    @plain_settings()
    def __init__(
        self,
        encoder: Encoder,
        decode: Decoder,
        device: str = "cpu",
        runtime: Runtime = "auto",
        refine: Callable[[Decoder], Refine] | None = fit_colors,
    ) -> None:
        self.encoder = encoder.eval().to(device)
        self.decode = decode.to(device)
        self.device = device
        self.encode = choose_runtime(self.encoder, decode.camera.image_size, runtime)
        self.refine = None if refine is None else refine(self.decode)

    @classmethod
    def open(
        cls,
        run: Path = SHIPPED,
        device: str = "cpu",
        runtime: Runtime = "auto",
        refine: Callable[[Decoder], Refine] | None = fit_colors,
    ) -> Reconstructor:
        """From a training run's folder or checkpoint, or what comes with the package; see `open_run` for errors."""
        return cls(*open_run(run), device=device, runtime=runtime, refine=refine)

    @plain_settings()
    def __call__(self, photo: Photo, every_face: bool = False) -> list[Reconstruction]:
        """Reconstruct the most prominent face, or every face.

        Raises:
            InputError: no face was found.
        """
        return reconstruct_faces(photo, self.decode, self._estimate, every_face)

    def _estimate(self, crop: FaceCrop) -> SemanticCode:
        code = SemanticCode.from_vector(self.encode(crop.pixels[None]), self.decode.model.sizes)
        return code if self.refine is None else self.refine(code, crop)


def lay_over(
    photo: Photo,
    reconstruction: Reconstruction,
    render: Renderer,
    start: Reconstruction | None = None,
    whole: bool = False,
) -> UInt8[np.ndarray, "H W 3"]:
    """The rendered face laid over the whole photograph, also where it reaches out of the crop.

    Hair, hats, hands and clothes before the head stay; see `mofa3d.pictures.in_front`.

    Args:
        render: a raster backend with a black background, as `make_renderer("cpu")`.
        start: the face as the photograph shows it, if `reconstruction` is an edited one of the same crop.
        whole: draw all of the head, over whatever the photograph shows there.
    """
    if whole:
        return _head(reconstruction, render).over(photo)
    return _visible_head(photo, reconstruction, render, start).over(photo)


def _head(reconstruction: Reconstruction, render: Renderer) -> Layer:
    from mofa3d.pictures.overlay import layers

    return layers(reconstruction.scene, [reconstruction.transform], render)[0]


def _visible_head(
    photo: Photo, reconstruction: Reconstruction, render: Renderer, start: Reconstruction | None
) -> Layer:
    """The head without what the photograph shows before it; for `start` see `lay_over`."""
    head = _head(reconstruction, render)
    unchanged = start is None or start.scene is reconstruction.scene
    before = head if unchanged else _head(start, render)
    return head.behind(before.hidden(photo))


class Pictures(NamedTuple):
    """What shows how a face was reconstructed.

    Attributes:
        overlay: see `lay_over`.
        panels: crop, overlay, geometry, reflectance and illumination side by side.
    """

    overlay: UInt8[np.ndarray, "H W 3"]
    panels: UInt8[np.ndarray, "h w5 3"]


def pictures(
    photo: Photo, reconstruction: Reconstruction, render: Renderer, start: Reconstruction | None = None
) -> Pictures:
    """The pictures of a face, which has its head drawn once for both; for the arguments see `lay_over`."""
    from mofa3d.pictures.views import panels, to_bytes

    head = _visible_head(photo, reconstruction, render, start)
    image = reconstruction.crop[None]
    in_crop = replace(head, transform=CropTransform(0.0, 0.0, 1.0)).over(to_bytes(image)[0])
    rows = panels(reconstruction.scene, render, image, to_tensor(in_crop)[None].to(image))
    return Pictures(head.over(photo), rows[0])
