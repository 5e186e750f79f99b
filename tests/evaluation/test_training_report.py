"""The report says the numbers it was given, and its pictures and meshes can be read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from tiny_model import make_code
from torch.utils.data import Dataset

from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.evaluation.training_report import (
    EXPLANATION,
    BeforeAndAfter,
    draw_curves,
    draw_faces,
    smoothed,
    training_report,
    write_meshes,
)
from mofa3d.pictures import views
from mofa3d.renderers import make_renderer
from mofa3d.semantic_code import CodeSizes, SemanticCode

NAN = float("nan")
SIZE = 48
SIZES = CodeSizes(5, 4, 6)

TABLE = """\
| held-out images | number | photometric error | landmark error (px) | area ratio |
| --- | --- | --- | --- | --- |
| all | 2 | 0.300 → 0.150 | – → – | 0.50 → 0.95 |
| lfw | 1 | 0.400 → 0.200 | – → – | – → 1.00 |
| nobody | 0 | – → – | – → – | – → – |"""


FACTS = {"data": "two faces", "renderer": "vertex"}
REACHED = {"iterations": 20, "batch": 4, "minutes": 1.5}


def errors() -> BeforeAndAfter:
    return BeforeAndAfter(
        groups={"all": [True, True], "lfw": [False, True], "nobody": [False, False]},
        before={
            "photometric": torch.tensor([0.2, 0.4]),
            "landmark": torch.tensor([NAN, NAN]),
            "area": torch.tensor([0.5, NAN]),
        },
        after={
            "photometric": torch.tensor([0.1, 0.2]),
            "landmark": torch.tensor([NAN, NAN]),
            "area": torch.tensor([0.9, 1.0]),
        },
    )


class Greys(Dataset):
    """Plain images whose grey says which code is theirs."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"image": torch.full((3, SIZE, SIZE), index / 5)}


CODES = make_code(5, SIZES, dtype=torch.float32).to_vector()


def encode(image: torch.Tensor) -> torch.Tensor:
    return CODES[(5 * image[:, 0, 0, 0]).round().long()]


@pytest.fixture
def decode(tiny_model) -> Decoder:
    return Decoder(tiny_model, Camera(SIZE))


def write_log(path: Path, *lines: dict) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


class TestReport:
    def test_table(self):
        assert errors().table() == TABLE

    def test_table_has_the_columns_that_were_measured(self):
        after = {"geometric": torch.tensor([2.0, 3.0]), "photometric": torch.tensor([0.1, 0.2])}
        only = BeforeAndAfter({"all": [True, True]}, before=after, after=after)
        assert only.table().splitlines()[0] == "| held-out images | number | photometric error | geometric error (mm) |"
        assert only.table().splitlines()[2] == "| all | 2 | 0.150 → 0.150 | 2.50 → 2.50 |"

    def test_table_says_how_far_the_pose_was_learned(self):
        after = {
            "photometric": torch.tensor([0.1, 0.2, 0.3, 0.4]),
            "yaw": torch.tensor([1.0, 2.0, 3.0, 0.0]),
            "landmark_yaw": torch.tensor([10.0, 20.0, 30.0, NAN]),
        }
        found = BeforeAndAfter({"all": [True] * 4, "one": [True, False, False, False]}, before=after, after=after)
        head, _, everything, one = found.table().splitlines()
        assert head == "| held-out images | number | photometric error | yaw correlation |"
        assert everything == "| all | 4 | 0.250 → 0.250 | 1.00 |"
        assert one == "| one | 1 | 0.100 → 0.100 | – |"

    def test_markdown(self, tmp_path):
        path = training_report("A training", FACTS, REACHED, errors(), ["face_0.glb", "face_0.ply"]).write(tmp_path)
        assert path == tmp_path / "report.md"
        assert path.read_text(encoding="utf-8") == (
            f"# A training\n\n- data: two faces\n- renderer: vertex\n\n"
            f"## Errors before → after training\n\n{TABLE}\n\n{EXPLANATION}\n"
            "## Learning curves\n\n![learning curves](curves.png)\n\n"
            "## Held-out faces\n\nphotograph, overlay, geometry, reflectance, illumination\n\n"
            "![held-out faces](faces.png)\n\n"
            "## Meshes\n\n- [face_0.glb](face_0.glb)\n- [face_0.ply](face_0.ply)\n"
        )

    def test_json_without_nan(self, tmp_path):
        training_report("A training", FACTS, REACHED, errors(), people=3).write(tmp_path)

        def refuse(name: str):
            raise AssertionError(f"{name} is no JSON")

        content = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"), parse_constant=refuse)
        assert content["facts"] == {"data": "two faces", "renderer": "vertex"}
        assert content["training"] == REACHED
        assert content["people"] == 3
        before, after = content["before"]["all"], content["after"]["lfw"]
        assert before == {"images": 2, "photometric": pytest.approx(0.3), "landmark": None, "area": 0.5}
        assert after == {"images": 1, "photometric": pytest.approx(0.2), "landmark": None, "area": 1.0}
        assert content["after"]["nobody"] == {"images": 0, "photometric": None, "landmark": None, "area": None}


class TestCurves:
    def test_one_panel_for_each_error_that_was_logged(self, tmp_path):
        lines = [
            {"iteration": 10 * i, "seconds": i, "loss": 2.0, "photometric_error": 1 / i, "area_ratio": 0.9, **extra}
            for i, extra in enumerate([{"landmark_error": 5.0}, {}, {"landmark_error": 4.0}], start=1)
        ]
        draw_curves(write_log(tmp_path / "all.jsonl", *lines), tmp_path / "all.png")
        draw_curves(write_log(tmp_path / "one.jsonl", {"iteration": 1, "photometric_error": 1.0}), tmp_path / "one.png")
        draw_curves(write_log(tmp_path / "none.jsonl"), tmp_path / "none.png")
        # 5 × 3.5 inches for each panel, at 110 dots per inch.
        sizes = [Image.open(tmp_path / f"{name}.png").size for name in ("all", "one", "none")]
        assert sizes == [(1650, 385), (550, 385), (550, 385)]
        assert (tmp_path / "all.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"

    def test_values_are_drawn_in_blue(self, tmp_path):
        flat = [{"iteration": i, "photometric_error": 0.5} for i in range(100)]
        draw_curves(write_log(tmp_path / "log.jsonl", *flat), tmp_path / "curves.png")
        red, _, blue = np.moveaxis(np.asarray(Image.open(tmp_path / "curves.png").convert("RGB")).astype(int), -1, 0)
        rows, columns = np.nonzero(blue - red > 100)
        assert np.ptp(rows) < 6  # a constant is a horizontal line
        assert np.ptp(columns) > 300

    def test_running_mean_of_a_twentieth(self):
        values = np.arange(60.0)
        # Over the last three values, and at the start over those there are.
        assert smoothed(values).tolist() == [0.0, 0.5, *range(1, 59)]
        assert smoothed(values[:19]).tolist() == list(range(19))
        assert smoothed(np.array([2.5])).tolist() == [2.5]


class TestFaces:
    @pytest.mark.parametrize(("indices", "rows"), [([3], 1), ([3, 0], 1), ([3, 0, 4], 2), ([4, 3, 2, 1, 0], 3)])
    def test_sheet_has_two_columns_of_faces(self, decode, tmp_path, indices, rows):
        draw_faces(encode, decode, make_renderer("cpu"), Greys(), indices, tmp_path / "faces.png")
        sheet = np.asarray(Image.open(tmp_path / "faces.png"))
        assert sheet.shape == (rows * SIZE, 2 * 5 * SIZE, 3)
        for position in range(2 * rows):
            top, left = position % rows * SIZE, position // rows * 5 * SIZE
            row = sheet[top : top + SIZE, left : left + 5 * SIZE]
            if position < len(indices):
                assert (row[:, :SIZE] == round(255 * indices[position] / 5)).all()  # the photograph comes first
            else:
                assert (row == 255).all()

    def test_rows_are_the_pictures_of_the_codes(self, decode, tmp_path):
        render = make_renderer("cpu")
        draw_faces(encode, decode, render, Greys(), [2, 4], tmp_path / "faces.png")
        image = torch.stack([Greys()[i]["image"] for i in (2, 4)])
        scene = decode(SemanticCode.from_vector(CODES[[2, 4]], SIZES))
        expected = np.concatenate(list(views.panels(scene, render, image)), axis=1)
        assert np.array_equal(np.asarray(Image.open(tmp_path / "faces.png")), expected)


def test_meshes_are_the_faces_of_the_images(decode, tiny_model, tmp_path):
    names = write_meshes(encode, decode, Greys(), [4, 1], tmp_path)
    assert names == ["face_0.glb", "face_0.ply", "face_1.glb", "face_1.ply"]
    code = SemanticCode.from_vector(CODES[[4, 1]], SIZES)
    vertices = tiny_model.geometry(code.shape, code.expression).numpy()
    colors = (255 * tiny_model.reflectance(code.reflectance).clamp(0, 1)).round().numpy()
    for name, index, unit in zip(names, (0, 0, 1, 1), (1000, 1, 1000, 1), strict=True):
        mesh = trimesh.load_mesh(tmp_path / name, process=False)
        assert len(mesh.vertices) == 144
        assert len(mesh.faces) == 242
        np.testing.assert_allclose(mesh.vertices * unit, vertices[index], atol=1e-3)
    mesh = trimesh.load_mesh(tmp_path / "face_1.ply", process=False)
    assert np.array_equal(mesh.visual.vertex_colors[:, :3], colors[1])
