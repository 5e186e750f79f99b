"""Run an encoder that was written as ONNX with onnxruntime, on the CPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakSet

import torch
from jaxtyping import Float
from torch import Tensor

from mofa3d.errors import InputError

if TYPE_CHECKING:
    import onnxruntime

INSTALL = "pip install 'mofa3d[onnx]'"
_opened: WeakSet[OnnxEncoder] = WeakSet()
_inherited: list[onnxruntime.InferenceSession] = []


def _keep_inherited() -> None:
    """Let no session end in a forked process: it would wait for its threads, which are not there."""
    _inherited.extend(encoder.session for encoder in _opened)


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_keep_inherited)


class OnnxEncoder:
    """An encoder of `mofa3d.encoders.onnx_export`, called as the one it was written from; not differentiable.

    It works on as many threads as PyTorch had when it was opened. These do not survive a fork, and what they were about
    to do would never be done: a forked process opens the encoder again.

    Args:
        source: the file, or its content.

    Raises:
        InputError: the package `onnxruntime` is missing, or the file is no encoder of that export.
    """

    def __init__(self, source: str | Path | bytes) -> None:
        self._source = source
        self.session = self._open()
        _opened.add(self)
        inputs = [port.name for port in self.session.get_inputs()]
        outputs = [port.name for port in self.session.get_outputs()]
        if (inputs, outputs) != (["image"], ["code"]):
            raise InputError(
                f"{self._name()} takes {', '.join(inputs)} and gives {', '.join(outputs)}, expected image and code; "
                "give a file that export_onnx wrote"
            )
        self.image_size: int = self.session.get_inputs()[0].shape[2]

    def _open(self) -> onnxruntime.InferenceSession:
        try:
            import onnxruntime
        except ImportError as error:
            raise InputError(f"the package onnxruntime, which runs ONNX files, is missing; run `{INSTALL}`") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            content = self._source if isinstance(self._source, bytes) else str(self._source)
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has an exception of its own for each way to fail
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{self._name()} is not an ONNX file that can be run ({reason}); export the encoder again"
            ) from error
        self._process = os.getpid()
        return session

    def _name(self) -> str:
        return "the given bytes" if isinstance(self._source, bytes) else str(self._source)

    def __call__(self, image: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B D"]:
        """Codes of RGB images in 0 to 1.

        Raises:
            InputError: images of another size than the encoder was written for.
        """
        expected = (3, self.image_size, self.image_size)
        if tuple(image.shape[1:]) != expected:
            raise InputError(f"the encoder was exported for images of {expected}, got {tuple(image.shape[1:])}")
        if os.getpid() != self._process:
            self.session = self._open()
        pixels = image.detach().to("cpu", torch.float32).contiguous().numpy()
        [code] = self.session.run(["code"], {"image": pixels})
        return torch.from_numpy(code).to(image.device)
