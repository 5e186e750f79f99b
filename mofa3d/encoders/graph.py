"""An encoder as one graph of layers for inference: norms folded, one linear layer at its end, a fixed image size."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mofa3d.encoders.factored_linear import FactoredLinear
from mofa3d.encoders.folding import FoldingSequential
from mofa3d.encoders.network import Encoder


class Resize(nn.Module):
    """A fixed linear change of size: matrix · image · matrixᵀ.

    Args:
        matrix: (T, S), from S rows or columns to T.
    """

    matrix: Float[Tensor, "T S"]

    def __init__(self, matrix: Float[Tensor, "T S"]) -> None:
        super().__init__()
        self.register_buffer("matrix", matrix)

    def forward(self, image: Float[Tensor, "B C S S"]) -> Float[Tensor, "B C T T"]:
        return self.matrix @ image @ self.matrix.T


class Normalize(nn.Module):
    """(image - mean) / std of each color, laid out in memory as convolutions on CPUs want it."""

    mean: Float[Tensor, "3 1 1"]
    gain: Float[Tensor, "3 1 1"]

    def __init__(self, mean: Float[Tensor, "3 1 1"], std: Float[Tensor, "3 1 1"]) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("gain", 1 / std)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        return ((image - self.mean) * self.gain).contiguous(memory_format=torch.channels_last)


class _Recorded(nn.Module):
    """Stands for a layer while a graph is recorded: notes its call instead of computing anything."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, *values: fx.Proxy) -> fx.Proxy:
        return values[0].tracer.create_proxy("call_module", self.name, values, {})


def _record(root: nn.Module) -> fx.GraphModule:
    """The layers that a network calls, whichever modules contain them.

    Not `fx.symbolic_trace`, which changes `nn.Module` meanwhile: networks that other threads run would then fail.
    """
    graph = fx.Graph()
    image = fx.Proxy(graph.placeholder("image"), fx.proxy.GraphAppendingTracer(graph))
    graph.output(_recorder(root, "", {})(image).node)
    return fx.GraphModule(root, graph)


def _recorder(module: nn.Module, name: str, known: dict[int, nn.Module]) -> nn.Module:
    """A copy of a network's containers around layers that are `_Recorded`; `known` ones by their identity."""
    if id(module) not in known:
        known[id(module)] = _Recorded(name) if _is_layer(module) else _copied(module, name, known)
    return known[id(module)]


def _is_layer(module: nn.Module) -> bool:
    if isinstance(module, nn.Sequential):
        return False
    return isinstance(module, Resize | Normalize | FactoredLinear) or type(module).__module__.startswith("torch.nn.")


def _copied(module: nn.Module, name: str, known: dict[int, nn.Module]) -> nn.Module:
    copied = copy.copy(module)
    copied._modules = {
        key: None if child is None else _recorder(child, f"{name}.{key}" if name else key, known)
        for key, child in module._modules.items()
    }
    if isinstance(module, FoldingSequential):
        copied.forward = partial(nn.Sequential.forward, copied)  # type: ignore[arg-type]  # a copy of a Sequential  # its own does not call the norms
    return copied


def flatten_encoder(encoder: Encoder, image_size: int) -> fx.GraphModule:
    """What an encoder computes from square images of one size, as a graph of PyTorch's layers.

    Args:
        encoder: set to evaluation mode; layers that need no change are shared with it, not copied.
        image_size: side of the images, pixels.

    Returns:
        A module from images (B, 3, S, S) in 0 to 1 to codes (B, D), which agrees with the encoder to rounding.
    """
    encoder.eval()
    layers: list[nn.Module] = [Normalize(encoder.mean, encoder.std), encoder.backbone, _joined_heads(encoder)]
    if encoder.input_size is not None and encoder.input_size != image_size:
        layers.insert(0, Resize(resizing_matrix(image_size, encoder.input_size).to(encoder.scales)))
    root = nn.Sequential(*layers).eval()
    flat = _record(root)
    for node in list(flat.graph.nodes):
        layer = flat.get_submodule(node.target) if node.op == "call_module" else None
        if isinstance(layer, nn.BatchNorm2d):
            _fold(flat, node, layer)
        elif isinstance(layer, nn.Dropout | nn.Identity):
            node.replace_all_uses_with(node.args[0])
            flat.graph.erase_node(node)
    flat.delete_all_unused_submodules()
    flat.recompile()
    return flat


def _joined_heads(encoder: Encoder) -> nn.Linear:
    """One layer in place of the two heads and the output scales."""
    at, scales = encoder.depth_index, encoder.scales

    def join(rest: Tensor, depth: Tensor) -> nn.Parameter:
        joined = torch.cat([rest[:at], depth, rest[at:]])
        return nn.Parameter(joined * (scales if joined.ndim == 1 else scales[:, None]), requires_grad=False)

    layer = nn.Linear(1, 1, device=scales.device)
    layer.weight = join(encoder.head.weight.detach(), encoder.depth_head.weight.detach())
    layer.bias = join(encoder.head.bias.detach(), encoder.depth_head.bias.detach())
    layer.out_features, layer.in_features = layer.weight.shape
    return layer


def resizing_matrix(old: int, new: int) -> Float[Tensor, "T S"]:
    """What `Encoder` does to each column of an image when it resizes it."""
    size = (new, old)
    columns = torch.eye(old, dtype=torch.float64)[None, None]
    resized = nn.functional.interpolate(columns, size, mode="bilinear", antialias=True, align_corners=False)
    return resized[0, 0]


def _fold(flat: fx.GraphModule, node: fx.Node, norm: nn.BatchNorm2d) -> None:
    """Compute a norm and the convolution before it as one convolution, where there is one."""
    source: Any = node.args[0]
    before = flat.get_submodule(source.target) if source.op == "call_module" else None
    if isinstance(before, nn.Conv2d) and len(source.users) == 1:
        flat.add_submodule(source.target, fuse_conv_bn_eval(before, norm))
        node.replace_all_uses_with(source)
        flat.graph.erase_node(node)
