"""The reflectance of a face model comes back from its own pictures."""

from __future__ import annotations

import json

import pytest
import torch
from programs import load
from tiny_model import make_tiny_model

from mofa3d import Camera, Decoder
from mofa3d.data.corpus.synthetic import SyntheticConfig, synthesize
from mofa3d.encoders.checkpoint import CHECKPOINT_NAME, Description
from mofa3d.fitting.adam import FitConfig
from mofa3d.models.makehuman.learned import with_learned_reflectance
from mofa3d.models.mesh_fields import mirror_vertices
from mofa3d.morphable_model import read_model, save_model
from mofa3d.renderers import make_renderer
from mofa3d.training.checkpoint import save_checkpoint
from mofa3d.training.mofa import TrainingConfig, make_optimizer
from mofa3d.training.progress import Progress

learn_reflectance = load("learn_reflectance")
SIZE = 96


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """Faces of a model, and an untrained encoder for the same model in stripes, with weak modes."""
    folder = tmp_path_factory.mktemp("workplace")
    true = make_tiny_model(24)
    faces = SyntheticConfig(count=80, shape=0.3, expression=0.3, yaw=0.1, pitch=0.05, roll=0.05, shift=2, depth=2)
    synthesize(faces, Decoder(true, Camera(SIZE)), make_renderer("cpu", antialias=False), folder / "corpus")
    stripes = 0.5 + 0.2 * torch.cos(true.mean_shape / 10)
    start = true.with_reflectance(stripes, 0.1 * true.reflectance_basis)
    save_model(start, folder / "start.safetensors")
    about = Description(
        model_path=str(folder / "start.safetensors"), fingerprint=start.fingerprint(), input_size=32, image_size=SIZE
    )
    encoder = about.make_encoder(start)
    path = folder / "run" / CHECKPOINT_NAME
    path.parent.mkdir()
    save_checkpoint(path, encoder, make_optimizer(encoder, TrainingConfig()), Progress(), about.to_dict())
    return folder, true, start


def test_mean_and_modes_come_back(workplace):
    folder, true, start = workplace
    out = folder / "learned"
    learn_reflectance.main(
        learn_reflectance.Config(
            folder / "corpus", folder / "run", out, photographs=70, modes=4, rounds=2, fit=FitConfig(steps=40)
        )
    )
    learned = read_model(out / "model.safetensors")
    assert learned.sizes.reflectance == 4

    def colors(model):
        """Of the frontal vertices, free of the brightness that light and reflectance share."""
        mean = model.mean_reflectance[model.frontal]
        return mean / mean.mean()

    error, before = ((colors(model) - colors(true)).abs().mean() for model in (learned, start))
    assert error < 0.4 * before
    # What is symmetric of the true modes lies almost in the span of the learned ones and their mean.
    mirror = torch.from_numpy(mirror_vertices(true.mean_shape.double().numpy()))
    symmetric = (true.reflectance_basis + true.reflectance_basis[mirror]) / 2
    span = torch.cat([learned.reflectance_basis, learned.mean_reflectance[..., None]], dim=2)
    span = span[true.frontal].flatten(0, 1)
    wanted = symmetric[true.frontal].flatten(0, 1)
    wanted = wanted @ torch.linalg.svd(wanted, full_matrices=False).Vh[:2].T  # the two strongest directions
    left = wanted - span @ torch.linalg.lstsq(span, wanted).solution
    assert float(left.norm() / wanted.norm()) < 0.5
    again = with_learned_reflectance(start, out / "reflectance.safetensors")
    torch.testing.assert_close(again.mean_reflectance, learned.mean_reflectance, atol=3e-4, rtol=1e-3)
    text = (out / "report.md").read_text(encoding="utf-8")
    assert "| synthetic |" in text
    assert "Correlation of the logarithm of the light with L*" in text
    content = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert content["skin"]["all"]["photographs"] == content["skin"]["synthetic"]["photographs"]
    assert f"| {content['skin']['all']['ITA']['mean']:.1f} ± " in text
    shares = [values["very light"] for values in content["typology"].values()]
    assert f"| very light | {shares[0]:.1%} | {shares[1]:.1%} |" in text
    assert content["share of the variance"].keys() >= {"1", "3"}
    assert {path.name for path in out.iterdir()} >= {"model.png", "typology.png"}


def test_too_few_photographs_are_refused(workplace):
    folder, _, _ = workplace
    with pytest.raises(ValueError, match=r"has 10 photographs with landmarks to learn 8 modes from"):
        learn_reflectance.main(
            learn_reflectance.Config(folder / "corpus", folder / "run", folder / "no", photographs=10, modes=8)
        )
