"""The reflectance of a face model comes back from its own pictures."""

from __future__ import annotations

import json

import pytest
import torch
from dense_corpus import make_dense_corpus
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
from mofa3d.semantic_code import SemanticCode
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


@pytest.fixture(scope="module")
def dense(tmp_path_factory, default_model):
    """Faces of the default model, darker and lighter than its average, and one without points."""
    random = torch.Generator().manual_seed(0)
    codes = SemanticCode.zeros(13, default_model.sizes).replace(
        shape=0.5 * torch.randn(13, 80, generator=random), rotation=0.1 * torch.randn(13, 3, generator=random)
    )
    code = codes.reflectance.clone()
    code[:, 0] = torch.linspace(-1, 1, 13)
    names = [f"Some_One{'abcdefghijklm'[i]}_0001.jpg" for i in range(12)] + ["plain_0001.jpg"]
    folder = tmp_path_factory.mktemp("dense") / "corpus"
    make_dense_corpus(folder, default_model, names, codes.replace(reflectance=code))
    return folder


def test_the_default_model_learns_from_faces_laid_on_points(dense, tmp_path, default_model):
    out = tmp_path / "learned"
    learn_reflectance.main(learn_reflectance.Config(dense, out=out, modes=2, rounds=1, photographs=20))
    learned = read_model(out / "model.safetensors")
    assert torch.equal(learned.faces, default_model.faces)
    region = default_model.frontal
    points = default_model.at_landmarks(default_model.mean_shape)
    assert float(default_model.mean_shape[region, 0].abs().max()) < float(points[[0, 16], 0].abs().mean())
    away = torch.cdist(default_model.mean_shape[:, :2], points[36:48, :2])
    eyes = away.amin(dim=1) < 20  # mm; they have colors of their own
    mean, true = (model.mean_reflectance[region & ~eyes] for model in (learned, default_model))
    assert float((mean / mean.mean() - true / true.mean()).abs().mean()) < 0.05
    text = (out / "report.md").read_text(encoding="utf-8")
    assert "MediaPipe's points" in text
    assert "| 1 | 12 |" in text  # that without points is left out
