"""Decoder, vertex renderer and photometric loss, forward and backward: as one operation, and as plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from benchmarks.measure import Setup, Timing, compare
from benchmarks.model_sizes import with_vertices
from mofa3d import Camera, Decoder, MorphableModel, SemanticCode, load_model, losses
from mofa3d.data.corpus.synthetic import SyntheticConfig, sample_codes
from mofa3d.environment.memory import keep_freed_memory
from mofa3d.kernels.vertex_loss.cpu import FusedVertexLoss
from mofa3d.renderers import make_renderer

SUBJECT = "vertex_loss"
SIZE = 240
VERTICES, BATCHES = (6_000, 12_000, 24_000, 48_000, 96_000), (1, 2, 5, 16, 64)


def rows(setup: Setup) -> Iterator[Timing]:
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


Gradient = Callable[[Tensor], Tensor]  # of a loss with respect to vectors (B, 257) of codes, given them


def _rows(setup: Setup, model: MorphableModel, batch: int, name: str = "") -> list[Timing]:
    def ways(camera: Camera, image: Tensor) -> dict[str, Gradient]:
        fused = FusedVertexLoss(model, camera)
        losses_of = {
            "plain": plain_loss(Decoder(model, camera, fused=False), image),
            "fused surface": plain_loss(Decoder(model, camera), image),
            "fused": lambda code: fused(code, image).photometric,
        }
        return {way: gradient_of(loss, model) for way, loss in losses_of.items()}

    return compare_ways(SUBJECT, setup, model, batch, ways, name)


def plain_loss(decode: Decoder, image: Tensor) -> Callable[[SemanticCode], Tensor]:
    """The loss as decoder, renderer and loss, one after the other."""
    render = make_renderer("vertex")
    return lambda code: losses.photometric(render(decode(code)), image)


def gradient_of(loss: Callable[[SemanticCode], Tensor], model: MorphableModel) -> Gradient:
    def gradient(vector: Tensor) -> Tensor:
        leaf = vector.clone().requires_grad_()
        loss(SemanticCode.from_vector(leaf, model.sizes)).mean().backward()
        return leaf.grad

    return gradient


def compare_ways(
    subject: str,
    setup: Setup,
    model: MorphableModel,
    batch: int,
    make_ways: Callable[[Camera, Tensor], dict[str, Gradient]],
    name: str = "",
) -> list[Timing]:
    """Rows of several ways to the gradient for the same faces, on the model's device.

    Args:
        make_ways: given camera and images; the first is the reference.
        name: of the model, if it has one.
    """
    device, generator = model.mean_shape.device, torch.Generator().manual_seed(0)
    vector = sample_codes(SyntheticConfig(), batch, model.sizes, generator).to_vector().to(device)
    image = torch.rand(batch, 3, SIZE, SIZE, generator=generator).to(device)
    ways = make_ways(Camera(SIZE), image)
    found = {way: gradient(vector) for way, gradient in ways.items()}
    expected = found[next(iter(found))]
    notes = {
        way: f"gradient differs by {float((values - expected).norm() / expected.norm()):.1e}"
        for way, values in found.items()
        if values is not expected
    }
    count, sizes = len(model.mean_shape), model.sizes
    numbers = 3 * count * (sizes.shape + sizes.expression + sizes.reflectance)
    # Each number of the bases is read once each way, and takes part in a product and a sum for each image.
    floor = setup.ceilings.floor(2 * 2 * batch * numbers, 2 * 4 * numbers)
    works = {way: (lambda gradient=gradient: gradient(vector)) for way, gradient in ways.items()}
    repeats = max(setup.repeats * 5 // max(batch, 5), 3)
    setting = f"{name or f'{count} vertices'}, batch {batch}"
    return compare(setup, subject, setting, works, floor, repeats, notes)
