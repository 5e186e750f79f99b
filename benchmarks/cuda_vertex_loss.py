"""Decoder, vertex renderer and photometric loss, forward and backward, on an NVIDIA GPU: fused, and as plain steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.measure import Setup, Timing, measure_ceilings, waiting
from benchmarks.model_sizes import with_vertices
from benchmarks.vertex_loss import Gradient, compare_ways, gradient_of, plain_loss
from mofa3d import Camera, Decoder, MorphableModel, SemanticCode, load_model
from mofa3d.kernels.vertex_loss.cuda import CudaVertexLoss

SUBJECT = "cuda_vertex_loss"
DEVICE = "cuda"
BATCHES = (1, 5, 24, 128)


def rows(setup: Setup) -> Iterator[Timing]:
    """Cost against the batch for the face model; nothing without a GPU. Floors are those of the GPU's memory, whose
    cache may hold a whole basis."""
    if not torch.cuda.is_available():
        print("there is no NVIDIA GPU")
        return
    sizes = (1024, 64) if setup.quick else (8192, 2048)
    setup = replace(setup, ceilings=measure_ceilings(*sizes, device=DEVICE))
    model = load_model("makehuman")
    model = with_vertices(model, 2_000) if setup.quick else model.restrict(model.frontal)
    name = f"face model of {len(model.mean_shape)} vertices, {int(model.frontal.sum())} of them frontal"
    model = model.to(DEVICE)
    for batch in (1,) if setup.quick else BATCHES:
        yield from compare_ways(SUBJECT, setup, model, batch, lambda *given: _ways(model, *given), name)


def _ways(model: MorphableModel, camera: Camera, image: Tensor) -> dict[str, Gradient]:
    fused = CudaVertexLoss(model, camera)

    def fused_loss(code: SemanticCode) -> Tensor:
        return fused(code, image).photometric

    ways = {
        "plain": gradient_of(plain_loss(Decoder(model, camera, fused=False), image), model),
        "fused": gradient_of(fused_loss, model),
        "fused, as a CUDA graph": _captured(gradient_of(fused_loss, model), len(image), model),
    }
    return {way: _finished(gradient) for way, gradient in ways.items()}


def _finished(gradient: Gradient) -> Gradient:
    return lambda vector: waiting(lambda: gradient(vector), DEVICE)()


def _captured(gradient: Gradient, batch: int, model: MorphableModel) -> Callable[[Tensor], Tensor]:
    """The same without the time in which the CPU starts kernels: the GPU alone."""
    given = torch.zeros(batch, model.sizes.total, device=DEVICE)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        gradient(given)  # compiles
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = gradient(given)

    def replay(vector: Tensor) -> Tensor:
        given.copy_(vector)
        graph.replay()
        return result

    return replay
