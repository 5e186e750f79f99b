"""Which program computes an encoder: PyTorch, or onnxruntime where that pays."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor, nn

from mofa3d.encoders.network import Encoder
from mofa3d.environment.torch_settings import plain_settings
from mofa3d.errors import InputError

Runtime = Literal["auto", "torch", "onnx", "bfloat16"]
Encode = Callable[[Float[Tensor, "B 3 S S"]], Float[Tensor, "B D"]]

# Onnxruntime needs about half a second to import, write and open MobileNetV2, and saves some 6 ms of each image on two
# cores; AlexNet takes longer at both.
PATIENCE = 64
# Rounding the weights of AlexNet takes 0.1 s and saves 8 ms of each image.
PATIENCE_BFLOAT16 = 12

LARGE = 20_000_000  # weights of linear layers: reading them then takes longer than the convolutions


@plain_settings()
def choose_runtime(encoder: Encoder, image_size: int, runtime: Runtime = "auto") -> Encode:
    """What computes an encoder's codes most quickly.

    Args:
        encoder: in evaluation mode afterwards; changes of its weights may go unnoticed later.
        image_size: side of the images, pixels.
        runtime: ``onnx`` or ``bfloat16`` from the first image on; ``torch`` always; ``auto`` begins with
            PyTorch and goes over to another one once there have been so many images that starting it pays, if the
            encoder is on the CPU: for networks like AlexNet, most of which is linear layers, that is bfloat16 where the
            processor has it, for others onnxruntime where it is installed. These two and PyTorch give the same codes to
            rounding in their numbers; see `mofa3d.encoders.bfloat16`. On a processor that does not multiply bfloat16,
            ``bfloat16`` is ``auto``, and so float32.

    Warns:
        SlowerPathWarning: ``bfloat16`` on such a processor.

    Raises:
        InputError: an unknown name, ``onnx`` where its packages are missing, or ``bfloat16`` for an encoder that is not
            on the CPU.
    """
    if runtime not in get_args(Runtime):
        raise InputError(f"unknown runtime {runtime!r}: choose one of {', '.join(get_args(Runtime))}")
    encoder.eval()
    if runtime == "onnx":
        return open_with_onnx(encoder, image_size)
    on_cpu = encoder.scales.device.type == "cpu"
    if runtime == "bfloat16":
        if not on_cpu:
            raise InputError(
                f"the runtime 'bfloat16' needs the encoder on the CPU, and not on {encoder.scales.device}: choose "
                "'auto', 'torch' or 'onnx'"
            )
        from mofa3d.environment.instruction_sets import warn_of_bfloat16

        if _has_bfloat16():
            return _in_bfloat16(encoder, image_size)
        warn_of_bfloat16("instead of bfloat16, the encoder computes in float32, as by default")
    if runtime == "torch" or not on_cpu:
        return encoder
    if is_mostly_linear(encoder) and _has_bfloat16():
        return PatientEncoder(encoder, lambda: _in_bfloat16(encoder, image_size), PATIENCE_BFLOAT16)
    if not has_onnx():
        return encoder
    return PatientEncoder(encoder, lambda: open_with_onnx(encoder, image_size))


def _has_bfloat16() -> bool:
    from mofa3d.environment.instruction_sets import multiplies_bfloat16

    return multiplies_bfloat16()


def _in_bfloat16(encoder: Encoder, image_size: int) -> Encode:
    from mofa3d.encoders.bfloat16 import in_bfloat16

    return in_bfloat16(encoder, image_size)


def is_mostly_linear(encoder: Encoder) -> bool:
    """Whether an encoder's time goes by reading the weights of its linear layers."""
    return sum(layer.weight.numel() for layer in encoder.modules() if isinstance(layer, nn.Linear)) > LARGE


def has_onnx() -> bool:
    """Whether the packages are installed; imports none."""
    return all(importlib.util.find_spec(name) is not None for name in ("onnx", "onnxruntime"))


@plain_settings()
def open_with_onnx(encoder: Encoder, image_size: int) -> Encode:
    """Write an encoder as ONNX and open it in memory."""
    from mofa3d.encoders.onnx_export import to_onnx
    from mofa3d.encoders.onnx_runtime import OnnxEncoder

    return OnnxEncoder(to_onnx(encoder, image_size))


class PatientEncoder:
    """Computes the first images with one encoder and the others with a faster one, which is made when needed.

    Several threads may call it: one of them makes the faster encoder, and the others use the first one meanwhile.

    Args:
        first: the encoder that is there.
        prepare: makes the faster one; if it raises an InputError, the first one stays.
        patience: number of images after which it is made.
    """

    def __init__(self, first: Encode, prepare: Callable[[], Encode], patience: int = PATIENCE) -> None:
        self.current, self.left = first, patience
        self.pending = [prepare]  # of threads that take from it at once, one gets it

    def __call__(self, image: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B D"]:
        if self.left <= 0 and (prepare := self._take()) is not None:
            # Damaged packages or a network of the user's own: slower, but as good.
            with suppress(InputError):
                self.current = prepare()
        self.left -= len(image)
        return self.current(image)

    def _take(self) -> Callable[[], Encode] | None:
        with suppress(IndexError):
            return self.pending.pop()
        return None
