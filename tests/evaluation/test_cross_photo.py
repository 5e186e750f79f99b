"""Skin that was found in one photograph is measured in another one of the same person."""

from __future__ import annotations

import pytest
import torch
from tiny_model import make_code, make_tiny_model
from torch.utils.data import Dataset

from mofa3d import Camera, Decoder, SemanticCode
from mofa3d.evaluation.cross_photo import errors_across, photograph_pairs, with_average_skin, with_fitted_colors
from mofa3d.fitting import color_fit
from mofa3d.renderers import make_renderer


def test_pairs_are_of_people_with_several_photographs():
    photos = [f"{i}.jpg" for i in range(9)]
    identities = ["anna", "bea", "2.jpg", "anna", "bea", "anna", "carl", "bea", "bea"]
    assert photograph_pairs(range(9), photos, identities) == [(0, 5), (1, 7)]
    assert photograph_pairs([0, 1, 4, 6], photos, identities) == [(1, 4)]
    assert photograph_pairs([0, 2], photos, identities) == []


class Pictures(Dataset):
    """Images as items."""

    def __init__(self, images: torch.Tensor) -> None:
        self.images = images

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"image": self.images[index]}


class TestErrors:
    """Two photographs of each of two people, who differ in skin; geometry is known, light is another in each."""

    @pytest.fixture
    def decode(self) -> Decoder:
        return Decoder(make_tiny_model(rings=40), Camera(96))

    @pytest.fixture
    def codes(self) -> SemanticCode:
        codes = make_code(4, dtype=torch.float32)
        return codes.replace(reflectance=3 * codes.reflectance[[0, 0, 1, 1]])

    @pytest.fixture
    def dataset(self, decode, codes, monkeypatch) -> Pictures:
        monkeypatch.setattr(color_fit, "EVERY", 1)
        with torch.no_grad():
            images = make_renderer("cpu")(decode(codes)).image[:, :3]
        return Pictures(images)

    def encoder(self, dataset, codes):
        """Says the code of whichever image it is given."""

        def encode(image):
            nearest = torch.cdist(image.flatten(1), dataset.images.flatten(1)).argmin(dim=1)
            return codes.to_vector()[nearest]

        return encode

    def errors(self, decode, dataset, encode, pairs=((0, 1), (2, 3))) -> dict[str, float]:
        found = errors_across(encode, decode, make_renderer("vertex"), dataset, pairs)
        assert {name: value.shape for name, value in found.items()} == {"own": (2,), "other": (2,)}
        return {name: float(value.mean()) for name, value in found.items()}

    def test_the_right_skin_fits_both_and_somebody_elses_only_its_own(self, decode, dataset, codes):
        encode = self.encoder(dataset, codes)
        right = self.errors(decode, dataset, encode)
        wrong = self.errors(decode, dataset, encode, pairs=((0, 3), (2, 1)))
        assert right["own"] == wrong["own"]
        assert right["other"] < 0.5 * wrong["other"]

    def test_fitted_and_average_skin(self, decode, dataset, codes):
        encode = with_average_skin(self.encoder(dataset, codes), decode)
        image = dataset[0]["image"][None]
        average = SemanticCode.from_vector(encode(image), codes.sizes)
        assert torch.equal(average.reflectance, torch.zeros(1, 6))
        assert torch.equal(average.illumination, codes.illumination[:1])
        plain = self.errors(decode, dataset, encode)
        fitted = self.errors(decode, dataset, with_fitted_colors(encode, decode))
        assert fitted["own"] < 0.5 * plain["own"]
        assert fitted["other"] < 0.7 * plain["other"]
