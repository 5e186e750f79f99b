"""Several photographs of one person: one shape and one reflectance, and what each photograph has for itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mofa3d.api import make_writer
from mofa3d.camera import Camera
from mofa3d.data.crop_transform import CropTransform
from mofa3d.data.face_landmarker import DenseLandmarks
from mofa3d.data.found_face import FoundFace
from mofa3d.data.sources import Item, Reader
from mofa3d.decoder import Decoder
from mofa3d.errors import InputError
from mofa3d.models.makehuman import dense_landmarks
from mofa3d.reconstruction.reconstructor import FaceCrop, Reconstructor
from mofa3d.reconstruction.same_person import STRANGER, SamePerson, person_tools
from mofa3d.renderers import make_renderer
from mofa3d.semantic_code import SemanticCode

YAWS = (0.0, 0.5, -0.5)


class Blank(Reconstructor):
    """With an encoder that says nothing."""

    def __init__(self, decode: Decoder) -> None:
        self.decode = decode

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(image), self.decode.model.sizes.total)


@pytest.fixture(scope="module")
def true(default_model) -> SemanticCode:
    """One person, who looks ahead, to one side and to the other."""
    random = torch.Generator().manual_seed(0)
    rotation = torch.zeros(3, 3)
    rotation[:, 1] = torch.tensor(YAWS)
    return SemanticCode.zeros(3, default_model.sizes).replace(
        shape=torch.randn(1, 80, generator=random).expand(3, -1),
        expression=0.5 * torch.randn(3, 64, generator=random),
        reflectance=torch.randn(1, 80, generator=random).expand(3, -1),
        rotation=rotation,
        illumination=0.1 * torch.randn(3, 9, 1, generator=random).expand(-1, -1, 3),
    )


@pytest.fixture(scope="module")
def decode(default_model) -> Decoder:
    return Decoder(default_model, Camera(240))


@pytest.fixture(scope="module")
def person(decode) -> SamePerson:
    return SamePerson(Blank(decode))


@pytest.fixture(scope="module")
def crops(decode, true) -> list[FaceCrop]:
    return photographed(decode, true)


def photographed(decode: Decoder, true: SemanticCode) -> list[FaceCrop]:
    """Crops of faces, with their points as a network would find them."""
    attached, noise = dense_landmarks(), torch.Generator().manual_seed(1)
    with torch.no_grad():
        scene = decode(true)
        images = make_renderer("cpu")(scene).image[:, :3]
    corners = scene.positions[:, decode.model.faces[attached.faces]]
    points = scene.camera.project(torch.einsum("lk,blkc->blc", attached.weights, corners))
    points += 1.5 * torch.randn(points.shape, generator=noise)  # pixels
    found = []
    for image, flat in zip(images, points.numpy(), strict=True):
        dense = np.column_stack([flat, np.zeros(478)]).astype(np.float32)
        photo = (255 * image.permute(1, 2, 0)).round().to(torch.uint8).numpy()
        landmarks = DenseLandmarks(dense, 1.0, np.zeros(52, np.float32))
        box = FoundFace.of_box(120.0, 120.0, 180.0, 1.0)
        found.append(FaceCrop(photo, box, image, CropTransform(0.0, 0.0, 1.0, 0.0), landmarks))
    return found


def test_three_photographs_tell_more_than_one(default_model, person, crops, true):
    [alone] = person(crops[:1])
    together = person(crops)
    frontal = default_model.frontal

    def away(code: SemanticCode) -> float:
        rest = torch.zeros_like(code.expression)
        apart = default_model.geometry(code.shape, rest) - default_model.geometry(true.shape[:1], rest[:1])
        return float(apart[0, frontal].norm(dim=1).mean())

    def skin(code: SemanticCode) -> float:
        apart = default_model.reflectance(code.reflectance) - default_model.reflectance(true.reflectance[:1])
        return float((apart - apart.mean(dim=1, keepdim=True))[0, frontal].norm(dim=1).mean())

    codes = [face.code for face in together]
    for code in codes[1:]:
        assert torch.equal(code.shape, codes[0].shape)
        assert torch.equal(code.reflectance, codes[0].reflectance)
    assert away(codes[0]) < 0.9 * away(alone.code)
    assert skin(codes[0]) < skin(alone.code)
    for yaw, code in zip(YAWS, codes, strict=True):
        assert float(code.rotation[0, 1]) == pytest.approx(yaw, abs=0.1)
    assert not torch.equal(codes[0].expression, codes[1].expression)
    assert not torch.equal(codes[0].illumination, codes[1].illumination)


def test_somebody_else_is_named(decode, person, crops, true):
    other = true.replace(shape=torch.randn(1, 80, generator=torch.Generator().manual_seed(5)).expand(3, -1))
    stranger = photographed(decode, other)[1]
    assert [face.warning for face in person(crops)] == ["", "", ""]
    faces = person([*crops[:2], stranger, crops[2]])
    assert [face.warning for face in faces] == ["", "", STRANGER, ""]
    assert [face.warning for face in person([crops[0], stranger])] == ["", ""]  # either may be the right one


def test_a_bad_fit_is_named(person, crops):
    """Points that no face has, as a network may find them on a hand."""
    points = crops[1].dense.points * np.array([1, 0.4, 1], np.float32) + np.array([0, 70, 0], np.float32)
    bent = np.where(np.arange(478)[:, None] % 2 == 0, points, crops[1].dense.points)
    odd = crops[1]._replace(dense=crops[1].dense._replace(points=bent))
    faces = person([crops[0], odd])
    assert faces[0].warning == ""
    assert "lies beside its features in the photograph" in faces[1].warning


def test_nobody_and_videos(default_model, person):
    with pytest.raises(InputError, match="there is no photograph of the person"):
        person([])
    film = Item("talk.mp4", Path("talk.mp4"), Path(), kind="video")
    with pytest.raises(InputError, match=r"talk\.mp4 is a video; give photographs of the person"):
        person_tools(person.reconstructor, make_writer(default_model), [film], Reader())


def test_other_models_are_refused(tiny_model):
    with pytest.raises(InputError, match="with the default face model only, not with 'tiny'"):
        SamePerson(Blank(Decoder(tiny_model, Camera(48))))
