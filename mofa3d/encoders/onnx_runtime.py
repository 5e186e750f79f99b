"""Run an encoder that was written as ONNX with onnxruntime, on the CPU."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mofa3d.errors import InputError

INSTALL = "pip install 'mofa3d[onnx]'"


class OnnxEncoder:
    """An encoder of `mofa3d.encoders.onnx_export`, called as the one it was written from; not differentiable.

    It works on as many threads as PyTorch had when it was opened.

    Args:
        source: the file, or its content.

    Raises:
        InputError: the package `onnxruntime` is missing, or the file is no encoder of that export.
    """

    def __init__(self, source: str | Path | bytes) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise InputError(f"the package onnxruntime, which runs ONNX files, is missing; run `{INSTALL}`") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        name = "the given bytes" if isinstance(source, bytes) else str(source)
        try:
            content = source if isinstance(source, bytes) else str(source)
            self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has an exception of its own for each way to fail
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{name} is not an ONNX file that can be run ({reason}); export the encoder again"
            ) from error
        inputs = [port.name for port in self.session.get_inputs()]
        outputs = [port.name for port in self.session.get_outputs()]
        if (inputs, outputs) != (["image"], ["code"]):
            raise InputError(
                f"{name} takes {', '.join(inputs)} and gives {', '.join(outputs)}, expected image and code; "
                "give a file that export_onnx wrote"
            )
        self.image_size: int = self.session.get_inputs()[0].shape[2]

    def __call__(self, image: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B D"]:
        """Codes of RGB images in 0 to 1.

        Raises:
            InputError: images of another size than the encoder was written for.
        """
        expected = (3, self.image_size, self.image_size)
        if tuple(image.shape[1:]) != expected:
            raise InputError(f"the encoder was exported for images of {expected}, got {tuple(image.shape[1:])}")
        pixels = image.detach().to("cpu", torch.float32).contiguous().numpy()
        [code] = self.session.run(["code"], {"image": pixels})
        return torch.from_numpy(code).to(image.device)
