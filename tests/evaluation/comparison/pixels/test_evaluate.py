"""What is measured on photographs that are known."""

from __future__ import annotations

import json

import cv2
import pytest
import torch

from mofa3d.evaluation.comparison.pixels.evaluate import PixelView, average_image, draw_pixels, evaluate_pixels
from mofa3d.evaluation.comparison.pixels.report import PixelErrors

SIZE = 32


class Greys(torch.utils.data.Dataset):
    """Images of one grey each, whose points fill the middle."""

    def __init__(self, levels):
        self.levels = levels

    def __len__(self):
        return len(self.levels)

    def __getitem__(self, index):
        points = torch.rand(68, 2, generator=torch.Generator().manual_seed(0)) * SIZE / 2 + SIZE / 4
        image = torch.full((3, SIZE, SIZE), self.levels[index])
        return {"image": image, "landmarks": points, "confidence": torch.ones(68)}


@pytest.fixture
def view() -> PixelView:
    return PixelView(16, torch.full((68, 2), SIZE / 2), SIZE)


def test_view_resizes_and_marks_the_face(view):
    batch = view({name: value[None] for name, value in Greys([0.3])[0].items()})
    assert batch["image"].shape == (1, 3, 16, 16)
    torch.testing.assert_close(batch["image"], torch.full((1, 3, 16, 16), 0.3))
    assert batch["region"].shape == (1, 16, 16)
    assert 20 < float(batch["region"].sum()) < 150


def test_average_image(view):
    average = average_image(Greys([0.1, 0.2, 0.6, 0.9]), [0, 1, 2], view)
    torch.testing.assert_close(average, torch.full((3, 16, 16), 0.3))


def test_errors_of_each_image(view):
    def half(batch):
        return torch.full_like(batch["image"], 0.5)

    errors = evaluate_pixels(half, Greys([0.5, 0.4, 0.1]), [2, 0], view)
    for name in ("face", "crop"):
        torch.testing.assert_close(errors[name], torch.tensor([0.4 * 3**0.5, 1e-6]), atol=1e-4, rtol=1e-4)
    assert errors["sharpness"].tolist() == errors["detail"].tolist() == [0, 0]


def test_report_and_picture(view, tmp_path):
    errors = {
        "face": torch.tensor([0.1, 0.3]), "crop": torch.tensor([0.2, 0.4]),
        "sharpness": torch.tensor([0.5, 1.0]), "detail": torch.tensor([0.25, 0.75]),
    }  # fmt: skip
    report = PixelErrors({"all": [True, True], "b": [False, True]}, {"network": errors})
    assert report.table().splitlines()[2:] == [
        "| all | 2 | network | 0.200 | 0.300 | 0.75 | 0.50 |",
        "| b | 1 | network | 0.300 | 0.400 | 1.00 | 0.75 |",
    ]
    reached = {"iterations": 3, "batch": 2, "minutes": 0.5}
    text = report.report("Title", {"data": "two"}, reached).write(tmp_path).read_text(encoding="utf-8")
    assert text.startswith("# Title\n\n- data: two\n")
    content = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert content["training"] == reached
    assert content["errors"]["network"]["b"]["face"] == pytest.approx(0.3)
    draw_pixels(lambda batch: batch["image"], Greys([0.2, 0.6]), [0, 1], view, tmp_path / "faces.png")
    picture = cv2.imread(str(tmp_path / "faces.png"))
    assert picture.shape == (3 * 16, 2 * 16, 3)
    assert picture[0, 0].tolist() == [51] * 3
    assert picture[-1, -1].tolist() == [153] * 3
