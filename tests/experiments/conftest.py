"""What the tests of the programs share."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_model import make_tiny_model

from mofa3d import Camera, Decoder
from mofa3d.data.corpus.dataset import INDEX, KEYS
from mofa3d.data.corpus.synthetic import SyntheticConfig, synthesize
from mofa3d.encoders.checkpoint import CHECKPOINT_NAME, Description
from mofa3d.morphable_model import save_model
from mofa3d.renderers import make_renderer
from mofa3d.training.checkpoint import save_checkpoint
from mofa3d.training.mofa import TrainingConfig, make_optimizer
from mofa3d.training.progress import Progress


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a tiny face model, which is also the cache of all prepared data."""
    folder = tmp_path_factory.mktemp("workplace")
    save_model(make_tiny_model(), folder / "tiny.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOFA3D_CACHE", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module")
def run(workplace) -> Path:
    """A checkpoint of an untrained encoder, which says the average face."""
    model = make_tiny_model()
    about = Description(model_path=str(workplace / "tiny.safetensors"), fingerprint=model.fingerprint(), input_size=32)
    torch.manual_seed(0)
    encoder = about.make_encoder(model)
    (workplace / "run").mkdir()
    optimizer = make_optimizer(encoder, TrainingConfig())
    save_checkpoint(workplace / "run" / CHECKPOINT_NAME, encoder, optimizer, Progress(), about.to_dict())
    return workplace / "run"


@pytest.fixture(scope="module")
def people(workplace) -> Path:
    """A corpus of eight people with four photographs each, whose codes nobody knows; two people are held out."""
    decode = Decoder(make_tiny_model(), Camera())
    config = SyntheticConfig(count=32, yaw=0.1, pitch=0.05, roll=0.05, seed=5)
    folder = workplace / "people"
    corpus = synthesize(config, decode, make_renderer("cpu", antialias=False), folder)
    names = [f"Person_{chr(65 + i // 4)}" for i in range(32)]
    rows = [json.dumps([photo, name]) for photo, name in zip(corpus.photos, names, strict=True)]
    (folder / KEYS).write_text("\n".join(rows) + "\n", encoding="utf-8")
    with np.load(folder / INDEX) as index:
        arrays = {name: index[name] for name in index.files if name != "codes"}
    arrays["held_out"] = np.arange(32) >= 24
    np.savez(folder / INDEX, **arrays)
    return folder
