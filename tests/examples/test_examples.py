"""The examples run as they are."""

from __future__ import annotations

import json

import pytest
import torch
import trimesh
from programs import ROOT, load
from tiny_model import make_code, make_tiny_model
from tiny_runs import make_tiny_run

from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.encoders.checkpoint import Description, open_run
from mofa3d.morphable_model import save_model
from mofa3d.renderers import make_renderer

EXAMPLES = ROOT / "examples"


def test_face_from_photo_writes_mesh_code_and_overlay(portrait, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    run = make_tiny_run(tmp_path / "run")
    face = load("face_from_photo", EXAMPLES).main(portrait, tmp_path / "out", run)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"face.glb", "face.json", "face.png"}
    assert len(trimesh.load_mesh(tmp_path / "out" / "face.glb", process=False).faces) == 242
    told = capsys.readouterr().out
    assert told.startswith("144 vertices in mm")
    assert str([round(x) for x in face.landmarks[30].tolist()]) in told


class TestOwnRenderer:
    def test_draws_what_ours_draws(self):
        scene = Decoder(make_tiny_model(), Camera(48))(make_code(2, dtype=torch.float32))
        own = load("own_renderer", EXAMPLES).PhongRenderer()(scene)
        ours = make_renderer("pytorch3d")(scene)
        assert torch.equal(own.positions, ours.positions)
        torch.testing.assert_close(own.weights.sum(dim=1), torch.ones(2))
        covered = ours.image[:, 3] > 0
        assert float(((own.image[:, 3] > 0.5) == covered).float().mean()) > 0.99
        # The one shades pixels, the other vertices: on coarse triangles they differ a little.
        difference = (own.image[:, :3] - ours.image[:, :3]).abs().amax(dim=1)[covered]
        assert float(difference.median()) < 0.02

    def test_trains_an_encoder(self, tmp_path):
        model = make_tiny_model()
        save_model(model, tmp_path / "tiny.safetensors")
        about = Description(model_path=str(tmp_path / "tiny.safetensors"), input_size=32, image_size=32)
        load("own_renderer", EXAMPLES).main(tmp_path / "run", about, iterations=2, batch_size=2, weights=None)
        rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
        assert [row["iteration"] for row in rows] == [1, 2]
        assert all(0 < row["photometric"] < 2 for row in rows)
        assert open_run(tmp_path / "run")[0].head.weight.abs().max() > 0

    @pytest.mark.parametrize("name", ["face_from_photo", "own_renderer"])
    def test_every_example_is_linked(self, name):
        assert f"examples/{name}.py" in (ROOT / "README.md").read_text(encoding="utf-8")
