"""Fits of photographs and of a corpus from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import tyro
from PIL import Image
from programs import load
from tiny_model import make_tiny_model

from mofa3d import Camera, Decoder
from mofa3d.data.corpus.synthetic import SyntheticConfig, synthesize
from mofa3d.encoders.checkpoint import CHECKPOINT_NAME, Description
from mofa3d.files.record import RECORD
from mofa3d.morphable_model import save_model
from mofa3d.renderers import make_renderer
from mofa3d.training.checkpoint import save_checkpoint
from mofa3d.training.mofa import TrainingConfig, make_optimizer
from mofa3d.training.progress import Progress

fit = load("fit")
NUMBERS = ("photometric", "landmark", "area")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    """A tiny face model and a corpus of its faces."""
    folder = tmp_path_factory.mktemp("workplace")
    model = make_tiny_model(24)
    save_model(model, folder / "tiny.safetensors")
    faces = SyntheticConfig(count=40, yaw=0.1, pitch=0.05, roll=0.05, shift=2, depth=2)
    synthesize(faces, Decoder(model, Camera()), make_renderer("cpu", antialias=False), folder / "corpus")
    return folder


def config(workplace: Path, out: Path, **changes):
    options = {
        "data": workplace / "corpus",
        "method": "thies",
        "model_path": str(workplace / "tiny.safetensors"),
        "out": out,
        "count": 2,
    }
    return fit.Config(**{**options, **changes})


@pytest.fixture(scope="module")
def results(workplace) -> Path:
    """What a fit of two held-out faces has written."""
    out = workplace / "results"
    assert fit.main(config(workplace, out)) == 0
    return out


class TestCorpora:
    def test_errors_fall(self, results):
        content = json.loads((results / "results.json").read_text(encoding="utf-8"))
        start, fitted = content["start"]["all"], content["fit"]["all"]
        assert start["images"] == fitted["images"] == 2
        assert fitted["photometric"] < 0.5 * start["photometric"]
        assert fitted["landmark"] < 0.3 * start["landmark"]
        assert fitted["geometric"] < start["geometric"]
        assert 0 < fitted["seconds"] < 60
        assert content["facts"]["method"] == "thies, with landmarks"
        assert content["facts"]["start"] == "average face, displaced by 0 mm"

    def test_table_says_the_same(self, results):
        text = (results / "results.md").read_text(encoding="utf-8")
        content = json.loads((results / "results.json").read_text(encoding="utf-8"))
        errors = [format(content[stage]["all"]["photometric"], ".3f") for stage in ("start", "fit")]
        assert f"| all | 2 | {errors[0]} → {errors[1]} |" in text
        assert "| synthetic | 2 |" in text
        assert "seconds per image" in text

    def test_pictures(self, results):
        assert Image.open(results / "faces.png").size == (5 * 240, 2 * 240)

    def test_displaced_and_without_landmarks(self, workplace, results, tmp_path):
        fit.main(config(workplace, tmp_path, landmarks=False, displaced=40.0, count=1))
        content = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
        near = json.loads((results / "results.json").read_text(encoding="utf-8"))
        assert content["facts"]["method"] == "thies, without landmarks"
        assert content["start"]["all"]["landmark"] > near["start"]["all"]["landmark"] + 15
        assert content["fit"]["all"]["landmark"] > 3 * near["fit"]["all"]["landmark"]

    def test_start_of_an_encoder(self, workplace, tmp_path):
        model = make_tiny_model(24)
        about = Description(
            model_path=str(workplace / "tiny.safetensors"), fingerprint=model.fingerprint(), input_size=32
        )
        encoder = about.make_encoder(model)
        torch.nn.init.ones_(encoder.depth_head.bias)
        path = tmp_path / "run" / CHECKPOINT_NAME
        path.parent.mkdir()
        save_checkpoint(path, encoder, make_optimizer(encoder, TrainingConfig()), Progress(), about.to_dict())
        encode, decode = fit.start(config(workplace, tmp_path, checkpoint=path.parent))
        assert torch.equal(decode.model.mean_shape, model.mean_shape)
        with torch.no_grad():
            code = encode(torch.zeros(1, 3, 240, 240))
        assert code[0, model.sizes.slices["translation"]].tolist() == [0.0, 0.0, 10.0]

    def test_unknown_source(self, workplace, tmp_path):
        with pytest.raises(ValueError, match="has 0 held-out photographs with landmarks from lfw"):
            fit.main(config(workplace, tmp_path, source="lfw"))

    def test_no_photographs_asked_for(self, workplace, tmp_path):
        with pytest.raises(ValueError, match="--count is 0"):
            fit.main(config(workplace, tmp_path, count=0))


class TestPhotographs:
    def test_everything_is_written(self, workplace, portrait, tmp_path, capsys):
        assert fit.main(config(workplace, tmp_path, data=portrait, landmarks=False)) == 0
        folder = tmp_path / "grace_hopper"
        assert capsys.readouterr().out == f"{portrait} -> {folder}\n"
        names = {path.name for path in folder.iterdir()}
        assert names == {"code.json", "camera.json", "overlay.png", "panels.png", "mesh.glb", "mesh.ply", RECORD}
        content = json.loads((folder / "code.json").read_text(encoding="utf-8"))
        assert np.abs(content["illumination"]).max() > 0.01  # it went somewhere

    def test_landmarks_are_detected(self, workplace, portrait, tmp_path):
        for landmarks in (True, False):
            out = tmp_path / str(landmarks)
            assert fit.main(config(workplace, out, data=portrait, landmarks=landmarks)) == 0
        codes = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(tmp_path.glob("*/*/code.json"))]
        assert len(codes) == 2
        assert not np.allclose(codes[0]["translation"], codes[1]["translation"], atol=0.5)

    def test_folder_with_an_unusable_photograph(self, workplace, portrait, tmp_path, capsys):
        photos = tmp_path / "photos"
        photos.mkdir()
        Image.open(portrait).save(photos / "good.png")
        Image.new("RGB", (90, 90), "grey").save(photos / "bad.png")
        assert fit.main(config(workplace, tmp_path / "out", data=photos, landmarks=False)) == 2
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["good"]
        assert capsys.readouterr().err.splitlines() == [
            f"error: {photos / 'bad.png'}: no face was found; give a photograph with a clear, roughly frontal face"
        ]

    def test_missing_photograph(self, workplace, tmp_path, capsys):
        assert fit.main(config(workplace, tmp_path / "out", data=tmp_path / "no.jpg")) == 2
        assert capsys.readouterr().err == f"error: there is no photograph at {tmp_path / 'no.jpg'}; check the path\n"


@pytest.mark.parametrize(
    ("options", "steps", "landmark"),
    [
        ("", 50, 2.0),
        ("--no-landmarks", 50, 0.0),
        ("--method thies", 15, 2.0),
        ("--method thies --no-landmarks", 15, 0.0),
    ],
)
def test_methods(options, steps, landmark):
    settings = tyro.cli(fit.Config, args=["photo.jpg", *options.split()])
    chosen = fit.fitter(settings, Decoder(make_tiny_model(24), Camera())).fit.config
    assert sum(level.steps for level in chosen.levels) == steps
    assert chosen.loss.landmark == landmark
