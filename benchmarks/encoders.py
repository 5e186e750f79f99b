"""Encoders' inference: one photograph at a time and in batches, in each way that is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import Setup, Timing, compare
from mofa3d import Camera, Decoder, SemanticCode, load_model
from mofa3d.data.corpus.synthetic import SyntheticConfig, sample_codes
from mofa3d.encoders.bfloat16 import in_bfloat16
from mofa3d.encoders.checkpoint import open_run
from mofa3d.encoders.graph import flatten_encoder
from mofa3d.encoders.network import Encoder, make_encoder
from mofa3d.encoders.runtime import has_onnx, is_mostly_linear
from mofa3d.environment.instruction_sets import multiplies_bfloat16
from mofa3d.renderers import make_renderer

SUBJECT = "encoders"
SIZE = 240
NETWORKS = (("alexnet", None), ("mobilenet_v2", 112), ("mobilenet_v2", None), ("resnet50", None), ("vgg_face", None))
BATCHES = (1, 4, 16, 64)
Encode = Callable[[Tensor], Tensor]


def rows(setup: Setup, checkpoint: Path | None = None) -> Iterator[Timing]:
    """Every network with random weights, and a trained one, whose landmarks are compared too."""
    for name, input_size in NETWORKS[1:2] if setup.quick else NETWORKS:
        torch.manual_seed(0)
        encoder = make_encoder(name, weights=None, input_size=input_size)
        for head in (encoder.head, encoder.depth_head):
            nn.init.normal_(head.weight, std=0.01)
        setting = f"{name}, {input_size or SIZE} px"
        many = BATCHES[:2] if setup.quick else (BATCHES if input_size else BATCHES[::2])
        for batch in many:
            yield from _rows(setup, setting, encoder, torch.rand(batch, 3, SIZE, SIZE))
    if checkpoint is not None:
        encoder, decode = open_run(checkpoint)
        yield from _rows(setup, "trained", encoder, random_faces(decode), decode)


@torch.inference_mode()
def _rows(setup: Setup, setting: str, encoder: Encoder, image: Tensor, decode: Decoder | None = None) -> list[Timing]:
    encoder.eval()
    runs = ways(encoder, image.shape[-1])
    expected = encoder(image)
    notes = {way: apart(run(image), expected, encoder, decode) for way, run in runs.items() if way != "torch"}
    with FlopCounterMode(display=False) as counter:
        encoder(image)
    moved = 4 * sum(value.numel() for value in encoder.parameters())
    floor = setup.ceilings.floor(counter.get_total_flops(), moved)
    works = {way: (lambda run=run: run(image)) for way, run in runs.items()}
    setting = f"{setting}, batch {len(image)}"
    repeats, on_request = max(setup.repeats // len(image), 3), runs.keys() - {by_default(encoder)}
    return compare(setup, SUBJECT, setting, works, floor, repeats, notes, len(image), on_request)


def by_default(encoder: Encoder) -> str:
    """The way that `mofa3d.encoders.runtime.choose_runtime` takes by itself after some images."""
    if is_mostly_linear(encoder) and multiplies_bfloat16():
        return "torch, bfloat16"
    return "onnxruntime" if has_onnx() else "torch"


def ways(encoder: Encoder, size: int) -> dict[str, Encode]:
    """Ways to compute an encoder's codes on this processor; the first is the encoder itself."""
    found: dict[str, Encode] = {"torch": encoder, "torch, norms folded": flatten_encoder(encoder, size)}
    if multiplies_bfloat16():
        found["torch, bfloat16"] = in_bfloat16(encoder, size)
    if has_onnx():
        from mofa3d.encoders.onnx_export import to_onnx
        from mofa3d.encoders.onnx_runtime import OnnxEncoder

        found["onnxruntime"] = OnnxEncoder(to_onnx(encoder, size))
    return found


def apart(found: Tensor, expected: Tensor, encoder: Encoder, decode: Decoder | None) -> str:
    """How far codes are from float32's; of a trained encoder in units of its output, and its landmarks in pixels."""
    units = ((found - expected) / encoder.scales).abs()
    if decode is None:
        return f"codes differ by {float(units.norm() / (expected / encoder.scales).norm()):.0e} of their size"
    text = f"codes differ by {float(units.mean()):.1e}, at most {float(units.max()):.1e}"
    points = [decode(SemanticCode.from_vector(code, decode.model.sizes)).landmarks for code in (found, expected)]
    pixels = (points[0] - points[1]).norm(dim=-1)
    return f"{text}; landmarks by {float(pixels.mean()):.3f} px, at most {float(pixels.max()):.3f}"


@torch.no_grad()
def random_faces(decode: Decoder, count: int = 16) -> Tensor:
    """Photographs of random faces before grey."""
    own = Decoder(load_model("makehuman"), Camera(decode.camera.image_size))
    codes = sample_codes(SyntheticConfig(), count, own.model.sizes, torch.Generator().manual_seed(0))
    rgba = make_renderer("cpu")(own(codes)).image
    return (rgba[:, :3] + 0.5 * (1 - rgba[:, 3:])).clamp(0, 1)
