"""dlib's face recognition network in PyTorch: 128 numbers of a picture, near each other for pictures of one person.

A residual network of 29 convolutions, without batch normalisation: what was learned of it is in affine layers. Two
photographs whose numbers are less than 0.6 apart show one person, says its author. Its weights are in the public domain
(CC0).

Reference: King 2017, "High Quality Face Recognition with Deep Metric Learning"; He et al. 2016.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from mofa3d.encoders.recognition.chip import face_chips
from mofa3d.encoders.recognition.dlib_file import DlibNetwork, Layer, read_dlib_network
from mofa3d.errors import InputError
from mofa3d.files.given import naming_file

WEIGHTS = "dlib_face_recognition_resnet_model_v1.dat"
INSTALL = "pip install mofa3d[recognition]"
STEM = ("con", "affine", "relu", "max_pool")
BLOCK = ("con", "affine", "relu", "con", "affine", "add_prev", "relu")
DOWN_BLOCK = ("con", "affine", "relu", "con", "affine", "avg_pool", "add_prev", "relu")
END = ("avg_pool", "fc")
NO_BIAS = 1
MOST_SIDE = 100  # of a window, in pixels


class Affine(nn.Module):
    """A factor and a shift for each channel."""

    def __init__(self, factor: Float[Tensor, "C"], shift: Float[Tensor, "C"]) -> None:
        super().__init__()
        self.factor = nn.Parameter(factor[:, None, None])
        self.shift = nn.Parameter(shift[:, None, None])

    def forward(self, values: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return torch.addcmul(self.shift, values, self.factor)


class Block(nn.Module):
    """Two convolutions and what goes past them, halved in size where they are."""

    def __init__(self, inner: nn.Sequential, past: nn.Module) -> None:
        super().__init__()
        self.inner, self.past = inner, past

    def forward(self, values: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D I V"]:
        inner, past = self.inner(values), self.past(values)
        sides = [max(own, other) for own, other in zip(inner.shape[1:], past.shape[1:], strict=True)]
        return torch.relu(_padded(inner, sides) + _padded(past, sides))


class RecognitionNetwork(nn.Module):
    """What tells people apart in a face that was cut out as dlib cuts it (`mofa3d.encoders.recognition.chip`).

    Attributes:
        size: side of its pictures; dlib's has 150 pixels.
        width: how many numbers it says of one; dlib's says 128.
    """

    means: Float[Tensor, "3 1 1"]

    def __init__(self, network: DlibNetwork) -> None:
        """Build it of the layers of a file.

        Raises:
            InputError: the layers are none of a residual network, or do not fit each other.
        """
        super().__init__()
        self.size = network.size
        self.register_buffer("means", torch.tensor(network.means).view(3, 1, 1) / 255)
        layers, channels = list(network.layers), 3
        stem, channels = _convolutions(_next(layers, STEM), channels)
        blocks: list[nn.Module] = []
        while len(layers) > len(END):
            down = [layer.kind for layer in layers[: len(DOWN_BLOCK)]] == list(DOWN_BLOCK)
            taken = _next(layers, DOWN_BLOCK if down else BLOCK)
            before = channels
            inner, channels = _convolutions(taken[:5], channels)
            blocks.append(Block(inner, _pool(taken[5]) if down else nn.Identity()))
            channels = max(channels, before)
        self.body = nn.Sequential(stem, *blocks)
        everything, last = _next(layers, END)
        if everything.settings["nr"] or everything.settings["nc"]:
            raise InputError("its last average is not over everything")
        self.last = _linear(last, channels)
        self.width = self.last.out_features

    def forward(self, picture: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B E"]:
        """Embeddings of RGB pictures in 0 to 1."""
        if picture.shape[-2:] != (self.size, self.size):
            raise InputError(
                f"the network sees {self.size} x {self.size} pixels, got {picture.shape[-1]} x {picture.shape[-2]}"
            )
        return self.last(self.body((picture - self.means) * (255 / 256)).mean(dim=(2, 3)))


@torch.no_grad()
def embeddings_of(network: RecognitionNetwork, batch: dict[str, Tensor], device: str) -> Float[Tensor, "B E"]:
    """Embeddings of a batch of a corpus's faces, on the CPU.

    Args:
        network: on the device.
        batch: has images and landmarks.
    """
    return network(face_chips(batch["image"].to(device), batch["landmarks"].to(device), network.size)).cpu()


def load_recognition_network(path: Path | None = None) -> RecognitionNetwork:
    """dlib's network, in evaluation and without gradients of its own.

    Args:
        path: the file of its weights; by default that of the package face_recognition_models.

    Raises:
        InputError: there is no such file, or it holds something else.
    """
    path = path or packaged_weights()
    with naming_file(path):
        network = RecognitionNetwork(read_dlib_network(path))
    return network.requires_grad_(False).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's stub lacks it


def packaged_weights() -> Path:
    """The file of the weights in the package face_recognition_models, which is not imported for it.

    Raises:
        InputError: the package is not installed, or lacks it.
    """
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or spec.origin is None:
        raise InputError(
            f"telling people apart needs the package face_recognition_models; install it with: {INSTALL}, or name a "
            f"file {WEIGHTS}"
        )
    path = Path(spec.origin).parent / "models" / WEIGHTS
    if not path.is_file():
        raise InputError(f"there is no {path}; reinstall face_recognition_models")
    return path


def _padded(values: Tensor, sides: list[int]) -> Tensor:
    """With zeros at the ends of channels, rows and columns, as dlib adds what differs in size."""
    ends = [size - own for own, size in zip(values.shape[1:], sides, strict=True)]
    return functional.pad(values, (0, ends[2], 0, ends[1], 0, ends[0])) if any(ends) else values


def _next(layers: list[Layer], kinds: tuple[str, ...]) -> list[Layer]:
    """Take layers of these kinds from the front."""
    taken, layers[:] = layers[: len(kinds)], layers[len(kinds) :]
    found = tuple(layer.kind for layer in taken)
    if found != kinds:
        raise InputError(f"it has the layers {', '.join(found) or 'none'}, expected {', '.join(kinds)}")
    return taken


def _convolutions(layers: list[Layer], channels: int) -> tuple[nn.Sequential, int]:
    """Convolutions with what follows each, and how many channels they end with."""
    modules: list[nn.Module] = []
    for layer in layers:
        if layer.kind == "con":
            modules.append(_convolution(layer, channels))
            channels = layer.settings["filters"]
        elif layer.kind == "affine":
            if len(layer.values) != 2 * channels or layer.settings["mode"]:
                raise InputError(f"an affine layer has {len(layer.values)} numbers, expected {2 * channels}")
            modules.append(Affine(*torch.from_numpy(layer.values.copy()).split(channels)))
        else:
            modules.append(nn.ReLU() if layer.kind == "relu" else _pool(layer))
    return nn.Sequential(*modules), channels


class _Window(NamedTuple):
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]


def _window(layer: Layer) -> _Window:
    sides = ("nr", "nc"), ("stride_y", "stride_x"), ("padding_y", "padding_x")
    window = _Window(*((layer.settings[down], layer.settings[right]) for down, right in sides))
    if min(*window.kernel, *window.stride) < 1 or min(window.padding) < 0 or max(map(max, window)) > MOST_SIDE:
        raise InputError(f"a layer {layer.kind} has the window {tuple(window)}, rows first: size, steps and border")
    return window


def _convolution(layer: Layer, channels: int) -> nn.Conv2d:
    filters, window = layer.settings["filters"], _window(layer)
    size = filters * channels * window.kernel[0] * window.kernel[1]
    if filters < 1 or len(layer.values) != size + filters:
        raise InputError(f"a convolution has {len(layer.values)} numbers, expected {size + filters}")
    made = nn.Conv2d(channels, filters, *window)
    weights, bias = torch.from_numpy(layer.values.copy()).split([size, filters])
    made.weight.data, made.bias.data = weights.view(made.weight.shape), bias  # type: ignore[union-attr]
    return made


def _pool(layer: Layer) -> nn.Module:
    window = _window(layer)
    return nn.MaxPool2d(*window) if layer.kind == "max_pool" else nn.AvgPool2d(*window)


def _linear(layer: Layer, channels: int) -> nn.Linear:
    outputs, inputs = layer.settings["outputs"], layer.settings["inputs"]
    if inputs != channels or outputs < 1 or len(layer.values) != inputs * outputs or layer.settings["mode"] != NO_BIAS:
        raise InputError(
            f"its last layer has {len(layer.values)} numbers for {inputs} inputs, expected {channels} and no bias"
        )
    made = nn.Linear(inputs, outputs, bias=False)
    made.weight.data = torch.from_numpy(layer.values.copy()).view(inputs, outputs).T.contiguous()
    return made
