"""A training of a small encoder on the tiny model, for tests of the loop."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from tiny_model import make_code
from torch import nn

from mofa3d.decoder import Decoder
from mofa3d.encoders.network import Encoder
from mofa3d.renderers.vertex import VertexRenderer
from mofa3d.semantic_code import CodeSizes
from mofa3d.training import loop
from mofa3d.training.mofa import TrainingConfig, train
from mofa3d.training.progress import Progress

SIZE = 48
SIZES = CodeSizes(5, 4, 6)


def make_encoder(seed: int = 0) -> Encoder:
    torch.manual_seed(seed)
    backbone = nn.Sequential(nn.AdaptiveAvgPool2d(6), nn.Flatten(), nn.Linear(108, 32), nn.ReLU())
    return Encoder(backbone, 32, SIZES)


def make_batch(decode: Decoder, seed: int = 0) -> loop.Batch:
    """Blurred noise with the landmarks of random faces."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(4, 3, 6, 6, generator=generator)
    image = nn.functional.interpolate(noise, (SIZE, SIZE), mode="bilinear")
    points = decode(make_code(4, SIZES, seed, torch.float32)).landmarks
    return {"image": image, "landmarks": points, "confidence": torch.ones(4, 68)}


def stream_of(decode: Decoder, spoiled: int | None = None):
    """A deterministic stream; the batch of one iteration can be spoiled with a NaN."""

    def batches(start: int) -> Iterator[loop.Batch]:
        iteration = start
        while True:
            batch = make_batch(decode, iteration)
            if iteration == spoiled:
                batch["image"][0] = float("nan")
            yield batch
            iteration += 1

    return batches


def config(**changes) -> TrainingConfig:
    defaults = {"optimizer": "adam", "learning_rate": 0.01, "depth_learning_rate": 0.001, "log_every": 1}
    return TrainingConfig(**{**defaults, **changes})


def run(decode, out, encoder=None, spoiled=None, resume=False, **changes) -> tuple[Encoder, Progress]:
    out.mkdir(exist_ok=True)
    encoder = encoder or make_encoder()
    batches = stream_of(decode, spoiled)
    progress = train(encoder, decode, VertexRenderer(), batches, config(**changes), out, {"note": "tiny"}, resume)
    return encoder, progress


def assert_same_weights(first: dict, second: dict) -> None:
    assert first.keys() == second.keys()
    for key in first:
        assert torch.equal(first[key], second[key]), key
