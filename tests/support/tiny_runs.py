"""A trained run of the tiny face model, as small as they come."""

from __future__ import annotations

from pathlib import Path

import torch
from tiny_model import make_tiny_model

from mofa3d.encoders.checkpoint import CHECKPOINT_NAME, Description
from mofa3d.morphable_model import save_model
from mofa3d.training.checkpoint import save_checkpoint
from mofa3d.training.mofa import TrainingConfig, make_optimizer
from mofa3d.training.progress import Progress


def make_tiny_run(folder: Path) -> Path:
    """A folder with a checkpoint whose encoder says one code about every face, and the face model."""
    model = make_tiny_model()
    save_model(model, folder / "tiny.safetensors")
    about = Description(
        model_path=str(folder / "tiny.safetensors"), input_size=32, fingerprint=model.fingerprint(), image_size=120
    )
    encoder = about.make_encoder(model)
    torch.nn.init.normal_(encoder.head.bias, std=0.1, generator=torch.Generator().manual_seed(0))
    optimizer = make_optimizer(encoder, TrainingConfig())
    save_checkpoint(folder / CHECKPOINT_NAME, encoder, optimizer, Progress(), about.to_dict())
    return folder
