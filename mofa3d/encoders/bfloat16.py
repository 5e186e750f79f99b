"""An encoder in bfloat16, for inference on CPUs that multiply such numbers."""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn

from mofa3d.encoders.graph import flatten_encoder
from mofa3d.encoders.network import Encoder
from mofa3d.environment.instruction_sets import multiplies_bfloat16


class HalfConvolution(nn.Module):
    """A convolution in bfloat16 whose weights already lie as oneDNN reads them, which it otherwise sees to each time.

    Args:
        layer: is not changed.

    Raises:
        RuntimeError: the processor does not multiply bfloat16; see `mofa3d.environment.instruction_sets`.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.settings = [list(layer.padding), list(layer.stride), list(layer.dilation), layer.groups]
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(layer.weight.detach().bfloat16(), *self.settings)
        self.bias = None if layer.bias is None else layer.bias.detach().bfloat16()

    def forward(self, value: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D J K"]:
        return torch.ops.mkldnn._convolution_pointwise(value, self.weight, self.bias, *self.settings, "none", [], "")


class HalfLinear(nn.Module):
    """A linear layer whose weights are kept, and read, in bfloat16; its sums are float32's.

    What takes time is reading the weights. A product of a matrix and a vector reads them nearly twice as fast as that
    of matrices, which `nn.functional.linear` takes for a single image too.

    Args:
        layer: is not changed.
    """

    weight: Float[Tensor, "O I"]
    bias: Float[Tensor, "O"]

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.register_buffer("weight", layer.weight.detach().bfloat16())
        self.register_buffer("bias", layer.bias.detach().bfloat16())

    def forward(self, value: Float[Tensor, "B I"]) -> Float[Tensor, "B O"]:
        if len(value) == 1:
            return torch.addmv(self.bias, self.weight, value[0])[None]
        return nn.functional.linear(value, self.weight, self.bias)


@torch.no_grad()
def in_bfloat16(encoder: Encoder, image_size: int) -> fx.GraphModule:
    """An encoder whose convolutions and linear layers, but for the last, compute in bfloat16.

    It does so on any processor; on those that do not multiply such numbers it takes longer than float32.

    Args:
        encoder: set to evaluation mode; its weights are copied.
        image_size: side of the images, pixels.

    Returns:
        A module from images (B, 3, S, S) in 0 to 1 to codes (B, D), float32 both. Images are resized and normalised,
        and codes computed from the last features, in float32.
    """
    flat = copy.deepcopy(flatten_encoder(encoder, image_size))
    *layers, (_, head) = (
        (name, layer) for name, layer in flat.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)
    )
    convolutions = [layer for _, layer in layers if isinstance(layer, nn.Conv2d)]
    packed = multiplies_bfloat16() and all(_can_be_packed(layer) for layer in convolutions)
    for name, layer in layers:
        if isinstance(layer, nn.Linear):
            flat.set_submodule(name, HalfLinear(layer))
        elif packed:
            flat.set_submodule(name, HalfConvolution(layer))
        else:
            layer.to(torch.bfloat16, memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's stub lacks it
    first = flat.get_submodule(layers[0][0])
    for hooked, dtype in ((first, torch.bfloat16), (head, torch.float32)):
        hooked.register_forward_pre_hook(lambda _, inputs, dtype=dtype: (inputs[0].to(dtype),))
    return flat.requires_grad_(False)


def _can_be_packed(layer: nn.Conv2d) -> bool:
    """Whether `HalfConvolution` is faster; between depthwise convolutions, as MobileNet's, it is three times slower."""
    return layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
