"""The encoder: a convolutional network from a photograph to a semantic code (Tewari et al. 2017, Sec. 3)."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mofa3d.encoders.backbones import IMAGENET_MEAN, IMAGENET_STD, _colors, make_backbone
from mofa3d.encoders.folding import fold_frozen_norms
from mofa3d.environment.torch_settings import plain_settings
from mofa3d.errors import InputError
from mofa3d.semantic_code import CodeSizes, OutputScales


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

    scales: Float[Tensor, "D"]
    mean: Float[Tensor, "3 1 1"]
    std: Float[Tensor, "3 1 1"]

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
            raise InputError(f"the encoder's input size must be at least 1 pixel, got {input_size}")
        sizes = sizes or CodeSizes()
        # A third faster on CPUs than the default layout, and no slower on GPUs.
        self.backbone = fold_frozen_norms(backbone).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's stub lacks it
        self.input_size = input_size
        self.freeze_batch_norm = freeze_batch_norm
        self.depth_index = sizes.slices["translation"].start + 2
        self.head = nn.Linear(features, sizes.total - 1)
        self.depth_head = nn.Linear(features, 1)  # t_z apart, because it learns at its own rate
        for layer in (self.head, self.depth_head):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.recognizer: nn.Linear | None = None
        self.register_buffer("scales", (scales or OutputScales()).vector(sizes))
        self.register_buffer("mean", _colors(IMAGENET_MEAN), persistent=False)
        self.register_buffer("std", _colors(IMAGENET_STD), persistent=False)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D"]:
        """Code vectors (see `SemanticCode.from_vector`) of RGB images in 0 to 1."""
        return self.code(self.features(image))

    def features(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B F"]:
        """What the backbone sees in RGB images in 0 to 1."""
        if self.input_size is not None and image.shape[-1] != self.input_size:
            size = (self.input_size, self.input_size)
            image = nn.functional.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)
        # (image - mean) / std in one pass over the image.
        normalized = torch.addcmul(-self.mean / self.std, image, 1 / self.std)
        return self.backbone(normalized.contiguous(memory_format=torch.channels_last))

    def code(self, features: Float[Tensor, "B F"]) -> Float[Tensor, "B D"]:
        """Code vectors of features."""
        # Codes keep all their digits when a training lets the backbone compute in bfloat16.
        with torch.autocast(features.device.type, enabled=False):
            features = features.to(self.head.weight.dtype)
            rest, depth = self.head(features), self.depth_head(features)
        at = self.depth_index
        return torch.cat([rest[:, :at], depth, rest[:, at:]], dim=1) * self.scales

    def add_recognizer(self, width: int) -> None:
        """A layer that tells an embedding of so many numbers from features, for `mofa3d.training.identity_loss`.

        Files of encoders do not have it.
        """
        self.recognizer = nn.Linear(self.head.in_features, width).to(self.scales.device)

    def recognize(self, features: Float[Tensor, "B F"]) -> Float[Tensor, "B E"]:
        """What the added layer tells from features."""
        assert self.recognizer is not None, "add_recognizer comes first"
        with torch.autocast(features.device.type, enabled=False):
            return self.recognizer(features.to(self.recognizer.weight.dtype))

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
        InputError: unknown name, missing or unreadable weights, or weights of another network.
    """
    backbone, features, pretrained = make_backbone(name, weights)
    return Encoder(backbone, features, sizes, scales, input_size, freeze_batch_norm=pretrained).float()
