"""The programs of the compared systems on tiny faces: what they write, what they learn, what they refuse."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from programs import load
from tiny_model import make_tiny_model

from mofa3d import SemanticCode
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.corpus.synthetic import SyntheticConfig
from mofa3d.encoders.checkpoint import open_run
from mofa3d.evaluation.comparison.networks.tran import PooledTargets
from mofa3d.evaluation.comparison.open_systems import open_autoencoder, open_learned_decoder, open_regressor
from mofa3d.files.locks import alone
from mofa3d.fitting.adam import FitConfig
from mofa3d.morphable_model import save_model
from mofa3d.renderers import make_renderer

train_autoencoder, train_conv_decoder = load("train_autoencoder"), load("train_conv_decoder")
train_regressor, train_pooled = load("train_regressor"), load("train_pooled")


def options(workplace: Path, **changes) -> dict:
    return {
        "synthetic": SyntheticConfig(count=24, yaw=0.1, pitch=0.05, roll=0.05),
        "held_out": 0.25,
        "model_path": str(workplace / "tiny.safetensors"),
        "iterations": 20,
        "batch_size": 4,
        "log_every": 1,
        **changes,
    }


def log_of(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def report_of(out: Path) -> dict:
    assert (out / "report.md").stat().st_size > 500
    return json.loads((out / "report.json").read_text(encoding="utf-8"))


def falls(out: Path, name: str = "loss") -> float:
    """Mean of the last five logged values over that of the first three."""
    values = [line[name] for line in log_of(out)]
    return np.mean(values[-5:]) / np.mean(values[:3])


def autoencoder_settings(workplace, **changes):
    changes = {"out": workplace / "autoencoder", "image_size": 16, "iterations": 40, "batch_size": 8, **changes}
    return train_autoencoder.Config(**options(workplace, **changes))


@pytest.fixture(scope="module")
def trained(workplace) -> Path:
    """The folder of a trained autoencoder."""
    train_autoencoder.main(autoencoder_settings(workplace))
    return workplace / "autoencoder"


class TestAutoencoder:
    def test_it_learns_and_reports(self, trained):
        assert falls(trained) < 0.9
        content = report_of(trained)
        held = content["errors"]["convolutional autoencoder"]["all"]["images"]
        assert 3 <= held < 12
        assert content["facts"]["data"] == f"24 synthetic faces, {held} held out"
        assert content["facts"]["training"].startswith("40 iterations of 8 in ")
        for row in ("average image", "convolutional autoencoder"):
            assert 0.01 < content["errors"][row]["all"]["face"] < 0.5
        # Photographs, images and faces one below the other.
        assert Image.open(trained / "faces.png").size == (min(held, 8) * 16, 3 * 16)

    def test_checkpoint_is_opened_again(self, trained):
        image = torch.full((1, 3, 16, 16), 0.5)
        network = open_autoencoder(trained)
        assert float((network(image) - 0.5).detach().abs().max()) > 0.003  # an untrained one says an even grey
        with pytest.raises(ValueError, match="holds the system 'autoencoder', not 'conv_decoder'; give a run of that"):
            open_learned_decoder(trained)
        with pytest.raises(ValueError, match="holds the system 'autoencoder', not an encoder of the whole code"):
            open_run(trained)

    def test_resumed_training_goes_on(self, trained, workplace):
        with pytest.raises(ValueError, match="already contains a training; pass --resume"):
            train_autoencoder.main(autoencoder_settings(workplace))
        with pytest.raises(ValueError, match="was trained with image_size 16, not 32; resume with"):
            train_autoencoder.main(autoencoder_settings(workplace, image_size=32, resume=True))
        train_autoencoder.main(autoencoder_settings(workplace, iterations=42, region="crop", resume=True))
        assert [line["iteration"] for line in log_of(trained)] == list(range(1, 43))

    def test_report_on_a_few_images(self, workplace, trained):
        settings = autoencoder_settings(workplace, iterations=43, report_images=2, resume=True)
        train_autoencoder.main(settings)
        content = report_of(trained)
        assert content["errors"]["convolutional autoencoder"]["all"]["images"] == 2
        assert content["facts"]["data"].endswith("held out, 2 of them measured")

    def test_sizes_and_numbers_that_make_no_sense(self, workplace):
        with pytest.raises(ValueError, match="must be a multiple of 16"):
            train_autoencoder.main(autoencoder_settings(workplace, image_size=100))
        with pytest.raises(ValueError, match="iterations and batch_size must be at least 1, got 0 and 8"):
            autoencoder_settings(workplace, iterations=0)


class TestConvDecoder:
    def settings(self, workplace, **changes):
        changes = {"out": workplace / "conv_decoder", "image_size": 16, "iterations": 60, "batch_size": 8, **changes}
        return train_conv_decoder.Config(**options(workplace, **changes))

    def test_it_learns_and_reports(self, workplace):
        train_conv_decoder.main(self.settings(workplace))
        assert falls(workplace / "conv_decoder") < 0.9
        content = report_of(workplace / "conv_decoder")
        assert set(content["errors"]) == {"average image", "learned decoder"}
        assert content["errors"]["learned decoder"]["all"]["face"] < 0.5
        network = open_learned_decoder(workplace / "conv_decoder")
        assert 0 < float(network.std.min()) < 0.2 < 5 < float(network.std.max())  # of radians, and of millimetres
        made = network(torch.randn(4, 1) * network.std + network.mean).detach()
        assert float(made.std(dim=0).mean()) > 1e-3  # the code says what is seen

    def test_photographs_and_faces_of_another_model_are_refused(self, workplace, people, tmp_path):
        settings = {"out": tmp_path / "out", "held_out": None}
        with pytest.raises(ValueError, match=r"people does not contain the true codes of its faces; train on --data"):
            train_conv_decoder.main(self.settings(workplace, data=str(people), **settings))
        save_model(make_tiny_model(14), tmp_path / "other.safetensors")
        corpus = next((workplace / "cache").glob("synthetic-*"))
        settings["model_path"] = str(tmp_path / "other.safetensors")
        with pytest.raises(ValueError, match="were rendered from another face model than 'tiny'; give that model as"):
            train_conv_decoder.main(self.settings(workplace, data=str(corpus), **settings))


def test_regressor_learns_and_reports(workplace, people):
    out = workplace / "richardson"
    changes = {
        "out": out, "encoder_weights": "none", "input_size": 32, "refinements": 2, "photographs": str(people),
        "learning_rate": 1e-3, "iterations": 12,
    }  # fmt: skip
    train_regressor.main(train_regressor.Config(**options(workplace, **changes)))
    assert falls(out) < 1
    content = report_of(out)
    assert content["facts"]["network"] == "mobilenet_v2 at 32 px, 2 times, feedback: normals"
    # The light is the best for the average face too, so the first error is below that of even light.
    assert 0 < content["before"]["all"]["photometric"] < 0.3
    assert content["after"]["all"]["geometric"] > 0
    photographs = report_of(out / "photographs")
    assert photographs["after"]["all"]["images"] == int(Corpus(people).held_out.sum())
    assert "geometric" not in photographs["after"]["all"]
    assert {path.name for path in out.iterdir()} >= {"curves.png", "faces.png", "face_0.glb", "config.json"}
    network, decode = open_regressor(out, make_renderer("cpu", antialias=False))
    code = SemanticCode.from_vector(network(torch.rand(2, 3, 240, 240)).detach(), decode.model.sizes)
    assert float(code.shape.abs().max()) > 0
    assert float(code.illumination.abs().max()) == 0


class TestPooled:
    def settings(self, workplace, people, run, **changes):
        settings = {"out": workplace / "pooled", "iterations": 12, "batch_size": 8, "fit": FitConfig(steps=10)}
        settings |= {"landmark_limit": 40.0, "learning_rate": 1e-3}
        return train_pooled.Config(data=people, checkpoint=run, **{**settings, **changes})

    def test_targets_are_pooled_and_learned(self, workplace, people, run):
        train_pooled.main(self.settings(workplace, people, run))
        out = workplace / "pooled"
        targets = PooledTargets.read(out / "targets.safetensors")
        assert targets.people == [f"Person_{letter}" for letter in "ABCDEF"]  # two people are held out
        names = [Corpus(people).identities[i] for i in targets.index.tolist()]
        assert [targets.people[i] for i in targets.person.tolist()] == names
        fits = SemanticCode.from_vector(targets.fits, make_tiny_model().sizes)
        assert float(fits.shape.abs().max()) > 0.1
        for row in range(6):  # every synthetic landmark is as certain as another
            torch.testing.assert_close(targets.shape[row], fits.shape[targets.person == row].mean(dim=0))
            torch.testing.assert_close(targets.reflectance[row], fits.reflectance[targets.person == row].mean(dim=0))
        content = report_of(out)
        assert content["after"]["all"]["images"] == 8
        assert "variance within people" in content["facts"]
        open_run(out)  # other programs take it

    def test_fits_are_not_done_twice(self, workplace, people, run):
        before = (workplace / "pooled" / "targets.safetensors").read_bytes()
        train_pooled.main(self.settings(workplace, people, run, iterations=14, report_images=3, resume=True))
        assert (workplace / "pooled" / "targets.safetensors").read_bytes() == before
        content = report_of(workplace / "pooled")
        assert content["facts"]["training"].startswith("14 iterations")
        assert content["after"]["all"]["images"] == 3

    def test_photographs_are_chosen_by_person(self, workplace, people, run):
        corpus = Corpus(people)
        chosen = train_pooled.choose(corpus, replace(self.settings(workplace, people, run, most=3), people=2))
        assert Counter(corpus.identities[i] for i in chosen) == {"Person_A": 3, "Person_B": 3}

    def test_too_few_photographs_of_anybody(self, workplace, people, run, tmp_path):
        with pytest.raises(ValueError, match="has 0 people to learn from with 5 photographs or more; give photographs"):
            train_pooled.main(self.settings(workplace, people, run, out=tmp_path / "out", fewest=5))

    def test_no_fit_is_good_enough(self, workplace, people, run, tmp_path):
        settings = self.settings(workplace, people, run, out=tmp_path / "out", landmark_limit=1e-3)
        with pytest.raises(ValueError, match=r"none of 24 fits comes within 0\.001 px of its landmarks"):
            train_pooled.main(settings)


@pytest.mark.parametrize("name", ["autoencoder", "conv_decoder", "regressor", "pooled"])
def test_no_program_trains_in_the_folder_of_another_training(workplace, people, run, tmp_path, name):
    program = {"regressor": train_regressor, "conv_decoder": train_conv_decoder, "autoencoder": train_autoencoder}.get(
        name, train_pooled
    )
    settings = options(workplace, out=tmp_path)
    if name == "pooled":
        settings = {"data": people, "checkpoint": run, "out": tmp_path, "checkpoint_every": 7}
    elif name == "regressor":
        settings |= {"encoder_weights": "none", "input_size": 32}
    config = program.Config(**settings)
    with alone(tmp_path), pytest.raises(ValueError, match="another process is writing into"):
        program.main(config)
    (tmp_path / "checkpoint.pt").write_text("precious")
    with pytest.raises(ValueError, match="already contains a training; pass --resume to continue it, or"):
        program.main(config)
    assert {path.name for path in tmp_path.iterdir()} == {".lock", ".mofa3d", "checkpoint.pt"}
    assert (tmp_path / "checkpoint.pt").read_text() == "precious"
