"""Write an encoder as an ONNX file, for onnxruntime and for whatever else reads that format.

The graph is written layer by layer, in a second of CPU time or less, so that inference can export an encoder when it
is opened. PyTorch 2.12's own exporters give the same codes from the same flattened graph, but:

- ``torch.onnx.export(dynamo=True)`` needs onnxscript and onnx_ir and takes five times as long for MobileNetV2 (5.1 s
  of CPU time, twice for ResNet-50), during which the first images wait.
- ``dynamo=False`` takes as long as this, but is deprecated, refuses AlexNet on images whose features it pools to a
  number that does not divide theirs (96 pixels), and fails when two threads export at once.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from mofa3d.encoders.factored_linear import FactoredLinear
from mofa3d.encoders.graph import Normalize, Resize, flatten_encoder
from mofa3d.encoders.network import Encoder
from mofa3d.errors import InputError
from mofa3d.files.whole import write_bytes

INPUT, OUTPUT = "image", "code"
OPSET, IR_VERSION = 17, 8  # of 2022: old enough for every reader, and nothing newer is needed
INSTALL = "pip install 'mofa3d[onnx]'"


def export_onnx(encoder: Encoder, path: str | Path, image_size: int = 240) -> None:
    """Write an encoder, atomically.

    Args:
        encoder: in evaluation mode afterwards.
        path: the file; its input ``image`` is float32 (B, 3, S, S), RGB in 0 to 1, with any B, its output ``code``
            (B, D) as `SemanticCode.from_vector` takes it.
        image_size: S, of the crops that the encoder was trained on.

    Raises:
        InputError: the package `onnx` is missing, or the encoder has a layer that this export does not know.
    """
    path = Path(path)
    content = to_onnx(encoder, image_size)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content)


def to_onnx(encoder: Encoder, image_size: int) -> bytes:
    """The content of the file that `export_onnx` writes."""
    onnx = _import_onnx()
    flat = flatten_encoder(encoder, image_size)
    example = torch.zeros(1, 3, image_size, image_size, device=encoder.scales.device, dtype=torch.float32)
    with torch.no_grad():
        ShapeProp(flat).propagate(example)
    graph = _Writer(onnx, flat).graph(image_size)
    opset = onnx.helper.make_opsetid("", OPSET)
    model = onnx.helper.make_model(graph, producer_name="mofa3d", opset_imports=[opset], ir_version=IR_VERSION)
    about = {"image_size": image_size, "code": "shape, expression, reflectance, rotation, translation, illumination"}
    onnx.helper.set_model_props(model, {"mofa3d": json.dumps(about)})
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _import_onnx():
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise InputError(f"the package onnx, which writes ONNX files, is missing; run `{INSTALL}`") from error
    return onnx


class _Writer:
    """Translates the nodes of a flattened encoder, in their order."""

    def __init__(self, onnx, flat: fx.GraphModule) -> None:
        self.onnx, self.flat = onnx, flat
        self.nodes: list = []
        self.constants: dict[str, object] = {}

    def graph(self, image_size: int):
        """The whole graph."""
        make, float32 = self.onnx.helper.make_tensor_value_info, self.onnx.TensorProto.FLOAT
        names: dict[fx.Node, str] = {}
        for node in self.flat.graph.nodes:
            if node.op == "placeholder":
                names[node] = INPUT
            elif node.op == "output":
                self._node("Identity", [names[node.args[0]]], OUTPUT)
                size = node.args[0].meta["tensor_meta"].shape[1]
            else:
                inputs = [names[value] for value in node.args if isinstance(value, fx.Node)]
                names[node] = self._translate(node, inputs)
        image = make(INPUT, float32, ["batch", 3, image_size, image_size])
        code = make(OUTPUT, float32, ["batch", size])
        return self.onnx.helper.make_graph(self.nodes, "encoder", [image], [code], list(self.constants.values()))

    def _node(self, kind: str, inputs: list[str], output: str, **attributes) -> str:
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def _constant(self, name: str, value: Tensor) -> str:
        array = np.ascontiguousarray(value.detach().cpu().numpy())
        self.constants[name] = self.onnx.numpy_helper.from_array(array, name)
        return name

    def _translate(self, node: fx.Node, inputs: list[str]) -> str:
        """Write what one node computes; returns the name of the result."""
        layer = self.flat.get_submodule(node.target) if node.op == "call_module" else None
        kind: object = node.target if layer is None else type(layer)
        before = _shape(node.args[0])
        out = node.name
        if kind in (operator.add, operator.iadd, torch.add):
            return self._node("Add", inputs, out)
        if kind is torch.flatten:
            return self._node("Flatten", inputs, out)
        if kind in (nn.functional.adaptive_avg_pool2d, nn.AdaptiveAvgPool2d):
            return self._pool_to(_shape(node)[2:], before[2:], inputs, out)
        if layer is None or kind not in _LAYERS:
            raise InputError(
                f"the encoder's layer {node.target} cannot be exported to ONNX, which supports only the networks "
                "that make_encoder builds"
            )
        return _LAYERS[kind](self, layer, inputs, out)

    def _pool_to(self, size: tuple[int, int], before: tuple[int, int], inputs: list[str], out: str) -> str:
        if tuple(size) == (1, 1):
            return self._node("GlobalAveragePool", inputs, out)
        if size == before:
            return inputs[0]
        rows, columns = (_pooling_matrix(old, new) for old, new in zip(before, size, strict=True))
        return self._both_sides(rows, columns, inputs, out)

    def _both_sides(self, rows: Tensor, columns: Tensor, inputs: list[str], out: str) -> str:
        """Rows · x · columnsᵀ."""
        left = self._node("MatMul", [self._constant(f"{out}.rows", rows), *inputs], f"{out}.left")
        return self._node("MatMul", [left, self._constant(f"{out}.columns", columns.T)], out)

    def _convolution(self, layer: nn.Conv2d, inputs: list[str], out: str) -> str:
        parameters = [self._constant(f"{out}.weight", layer.weight)]
        if layer.bias is not None:
            parameters.append(self._constant(f"{out}.bias", layer.bias))
        return self._node(
            "Conv", [*inputs, *parameters], out,
            kernel_shape=layer.kernel_size, strides=layer.stride, pads=2 * layer.padding,
            dilations=layer.dilation, group=layer.groups,
        )  # fmt: skip

    def _linear(self, layer: nn.Linear, inputs: list[str], out: str) -> str:
        parameters = [self._constant(f"{out}.weight", layer.weight), self._constant(f"{out}.bias", layer.bias)]
        return self._node("Gemm", [*inputs, *parameters], out, transB=1)

    def _norm(self, layer: nn.BatchNorm2d, inputs: list[str], out: str) -> str:
        values = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
        constants = [self._constant(f"{out}.{number}", value) for number, value in enumerate(values)]
        return self._node("BatchNormalization", [*inputs, *constants], out, epsilon=layer.eps)

    def _relu(self, layer: nn.ReLU, inputs: list[str], out: str) -> str:
        return self._node("Relu", inputs, out)

    def _relu6(self, layer: nn.ReLU6, inputs: list[str], out: str) -> str:
        bounds = [self._constant(f"clip{bound:g}", torch.tensor(bound, dtype=torch.float32)) for bound in (0.0, 6.0)]
        return self._node("Clip", [*inputs, *bounds], out)

    def _max_pool(self, layer: nn.MaxPool2d, inputs: list[str], out: str) -> str:
        kernel, stride, padding = (_pair(v) for v in (layer.kernel_size, layer.stride, layer.padding))
        return self._node("MaxPool", inputs, out, kernel_shape=kernel, strides=stride, pads=2 * padding)

    def _normalize(self, layer: Normalize, inputs: list[str], out: str) -> str:
        centred = self._node("Sub", [*inputs, self._constant(f"{out}.mean", layer.mean)], f"{out}.centred")
        return self._node("Mul", [centred, self._constant(f"{out}.gain", layer.gain)], out)

    def _resize(self, layer: Resize, inputs: list[str], out: str) -> str:
        return self._both_sides(layer.matrix, layer.matrix, inputs, out)


_LAYERS: dict[type[nn.Module], Callable[..., str]] = {
    nn.Conv2d: _Writer._convolution,
    nn.Linear: _Writer._linear,
    FactoredLinear: _Writer._linear,
    nn.BatchNorm2d: _Writer._norm,
    nn.ReLU: _Writer._relu,
    nn.ReLU6: _Writer._relu6,
    nn.MaxPool2d: _Writer._max_pool,
    Normalize: _Writer._normalize,
    Resize: _Writer._resize,
}


def _shape(node: fx.Node) -> tuple[int, ...]:
    return tuple(node.meta["tensor_meta"].shape)


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _pooling_matrix(old: int, new: int) -> Tensor:
    """What PyTorch's adaptive average pooling does to each column."""
    return nn.functional.adaptive_avg_pool2d(torch.eye(old, dtype=torch.float32)[None, None], (new, old))[0, 0]
