"""Decoder, vertex renderer and photometric loss, forward and backward: as one operation, and as plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from benchmarks.measure import Row, Setup, compare
from benchmarks.model_sizes import with_vertices
from mofa3d import Camera, Decoder, MorphableModel, SemanticCode, load_model, losses
from mofa3d.data.synthetic import SyntheticConfig, sample_codes
from mofa3d.fused_vertex_loss import FusedVertexLoss
from mofa3d.memory import keep_freed_memory
from renderers import make_renderer

SUBJECT = "vertex_loss"
SIZE = 240
VERTICES, BATCHES = (6_000, 12_000, 24_000, 48_000, 96_000), (1, 2, 5, 16, 64)


def rows(setup: Setup) -> Iterator[Row]:
    """Cost against the number of vertices at the paper's batch of 5, and against the batch."""
    keep_freed_memory()
    model = load_model("makehuman")
    whole = with_vertices(model, 2_000 if setup.quick else 24_000)
    if not setup.quick:
        name = f"face model of {len(model.mean_shape)} vertices, {int(model.frontal.sum())} of them frontal"
        yield from _rows(setup, model.restrict(model.frontal), 5, name)
    for count in (2_000,) if setup.quick else VERTICES:
        yield from _rows(setup, with_vertices(model, count), 5)
    for batch in (1,) if setup.quick else [batch for batch in BATCHES if batch != 5]:
        yield from _rows(setup, whole, batch)


def _rows(setup: Setup, model: MorphableModel, batch: int, name: str = "") -> list[Row]:
    camera, generator = Camera(SIZE), torch.Generator().manual_seed(0)
    vector = sample_codes(SyntheticConfig(), batch, model.sizes, generator).to_vector()
    image = torch.rand(batch, 3, SIZE, SIZE, generator=generator)
    fused = FusedVertexLoss(model, camera)

    def plain(decode: Decoder) -> Callable[[SemanticCode], Tensor]:
        render = make_renderer("vertex")
        return lambda code: losses.photometric(render(decode(code)), image)

    ways = {
        "plain": plain(Decoder(model, camera, fused=False)),
        "fused surface": plain(Decoder(model, camera)),
        "fused": lambda code: fused(code, image).photometric,
    }

    def gradient(loss: Callable[[SemanticCode], Tensor]) -> Tensor:
        leaf = vector.clone().requires_grad_()
        loss(SemanticCode.from_vector(leaf, model.sizes)).mean().backward()
        return leaf.grad

    expected = gradient(ways["plain"])
    notes = {
        way: f"gradient differs by {float((gradient(loss) - expected).norm() / expected.norm()):.1e}"
        for way, loss in ways.items()
        if way != "plain"
    }
    count, sizes = len(model.mean_shape), model.sizes
    numbers = 3 * count * (sizes.shape + sizes.expression + sizes.reflectance)
    # Each number of the bases is read once each way, and takes part in a product and a sum for each image.
    floor = setup.ceilings.floor(2 * 2 * batch * numbers, 2 * 4 * numbers)
    works = {way: (lambda loss=loss: gradient(loss)) for way, loss in ways.items()}
    repeats = max(setup.repeats * 5 // max(batch, 5), 3)
    return compare(SUBJECT, f"{name or f'{count} vertices'}, batch {batch}", works, floor, repeats, notes)
