"""Several photographs of one person: one shape and one reflectance, with a pose, an expression and a light each.

Each photograph's points say something about the shape, and how sure they are of it (`mofa3d.fitting.dense_fit`); added
up, what one photograph cannot see the others do. Pose and expression are then fitted to that shape, and one reflectance
to all photographs with a light for each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mofa3d.data.detect import detect_faces
from mofa3d.data.photo import Photo
from mofa3d.data.sources import Item, Reader
from mofa3d.errors import InputError
from mofa3d.export.face_textures import FaceTextures
from mofa3d.export.photo_texture import View
from mofa3d.fitting.color_fit import ColorFit
from mofa3d.fitting.dense_fit import DenseFit, shared_shape
from mofa3d.fitting.strangers import strangers
from mofa3d.models.makehuman import dense_landmarks
from mofa3d.reconstruction.batch import BatchTools
from mofa3d.reconstruction.reconstructor import FaceCrop, Reconstruction, Reconstructor, crop_at, reconstruction_of
from mofa3d.reconstruction.writer import ReconstructionWriter
from mofa3d.semantic_code import SemanticCode

STRANGER = "seems to be another person's than those of the other photographs"


@dataclass
class SamePerson:
    """Reconstructs the most prominent face of each photograph as one person.

    Args:
        reconstructor: gives face model, camera, and the encoder that predicts the tone of skin.

    Raises:
        InputError: the face model is not the default one, whose dense points are known.
    """

    reconstructor: Reconstructor
    fit_points: DenseFit = field(init=False)
    fit_colors: ColorFit = field(init=False)

    def __post_init__(self) -> None:
        decode = self.reconstructor.decode
        if decode.model.name != "makehuman":
            raise InputError(
                f"several photographs are fitted as one person with the default face model only, not with "
                f"{decode.model.name!r}; reconstruct them one by one"
            )
        self.fit_points = DenseFit(decode.model, dense_landmarks(), decode.camera)
        self.fit_colors = ColorFit(decode, every=1)

    def find(self, photo: Photo) -> FaceCrop:
        """The face of a photograph, with its dense points.

        Raises:
            InputError: there is none that these can be found of.
        """
        size = self.reconstructor.decode.camera.image_size
        for box in detect_faces(photo):
            crop = crop_at(photo, box, size)
            if crop.dense is not None and not (crop.doubt is not None and crop.doubt.refused):
                return crop
        raise InputError("no face with clear features was found; leave the photograph out")

    @torch.no_grad()
    def __call__(self, crops: Sequence[FaceCrop]) -> list[Reconstruction]:
        """One person in all crops.

        Raises:
            InputError: there is no crop.
        """
        if not crops:
            raise InputError("there is no photograph of the person; give at least one with a clear face")
        decode = self.reconstructor.decode
        points = torch.stack([crop_points(crop) for crop in crops])
        images = torch.stack([crop.pixels for crop in crops])
        alone = self.fit_points(points)
        shape = shared_shape(alone.code.shape, alone.information, torch.zeros(len(crops), dtype=torch.long))
        posed = self.fit_points(points, shape.expand(len(crops), -1)).code
        predicted = [self.reconstructor.encode(image[None]) for image in images]
        predictions = SemanticCode.from_vector(torch.cat(predicted), decode.model.sizes)
        codes = posed.replace(reflectance=predictions.reflectance, illumination=predictions.illumination)
        codes = self.fit_colors(codes, images, together=True)
        faces = [reconstruction_of(crop, codes[slice(k, k + 1)], decode) for k, crop in enumerate(crops)]
        for k in strangers(alone.code.shape, alone.information):
            faces[k] = replace(faces[k], warning=" and ".join(filter(None, [STRANGER, faces[k].warning])))
        return faces


def person_tools(
    reconstructor: Reconstructor, writer: ReconstructionWriter, items: Sequence[Item], reader: Reader
) -> BatchTools:
    """What writes the photographs of a batch as one person, with one texture of them all.

    Photographs that cannot be read or show no face are left out of the fit; the batch reports them.

    Raises:
        InputError: there is a video among them, no photograph shows a face, or see `SamePerson`.
    """
    videos = [str(item.path) for item in items if item.is_video]
    if videos:
        raise InputError(f"{videos[0]} is a video; give photographs of the person, or the video by itself")
    person, crops = SamePerson(reconstructor), {}
    for item in items:
        with suppress(InputError, OSError):
            photo = reader.read(item)
            crops[_digest(photo)] = person.find(photo)
    faces = dict(zip(crops, person(list(crops.values())), strict=True))
    textured = with_one_texture(
        writer, [View(face.scene, crops[key].photo, face.transform) for key, face in faces.items()]
    )

    def reconstruct(photo: Photo) -> list[Reconstruction]:
        key = _digest(photo)
        if key not in faces:
            person.find(photo)  # raises
        return [faces[key]]

    def film(path: Path, folder: Path) -> None:
        raise AssertionError(f"{path} is a video")

    return BatchTools(reconstruct, textured, film)


def with_one_texture(writer: ReconstructionWriter, views: Sequence[View]) -> ReconstructionWriter:
    """The same writer with one texture of what all photographs of a person show."""
    return replace(writer, textures=FaceTextures(writer.model, writer.textures.rasterize, views))


def _digest(photo: Photo) -> bytes:
    return hashlib.sha256(photo.tobytes()).digest()


def crop_points(crop: FaceCrop) -> Float[Tensor, "478 2"]:
    """The dense points of a crop that has them, pixels of the crop."""
    assert crop.dense is not None
    return torch.from_numpy(crop.transform.to_crop(crop.dense.points[:, :2].astype(np.float64))).float()
