"""What this processor can do, asked at run time; the one place that asks.

What it has may be held down by environment variables, which those who test do: ``ONEDNN_MAX_CPU_ISA`` for convolutions
and products of matrices, ``ATEN_CPU_CAPABILITY`` for the rest of PyTorch, ``NUMBA_CPU_NAME`` and an empty
``NUMBA_CPU_FEATURES`` for kernels. Kernels need nothing in particular: numba compiles them for what there is.
"""

from __future__ import annotations

import os
import platform
import warnings

import torch

from mofa3d.errors import SlowerPathWarning

X86 = ("x86_64", "amd64")
# What oneDNN may be held down to and then does not multiply bfloat16, but makes float32 of it first.
WITHOUT_BFLOAT16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")


def multiplies_bfloat16() -> bool:
    """Whether this processor multiplies numbers of that type: AVX-512 BF16 or AMX.

    Others take ten times as long for them as for float32, and PyTorch cannot bring weights into their order there,
    which its own ``_is_mkldnn_bf16_supported`` does not tell.
    """
    if platform.machine().lower() not in X86 or not torch.backends.mkldnn.is_available():
        return False
    has = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return has and onednn_limit() not in WITHOUT_BFLOAT16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def bfloat16_or_float32(asked: bool, device: str) -> bool:
    """Whether a training computes in bfloat16: where that was asked for and is no slower.

    Warns:
        SlowerPathWarning: requested on a processor without native bfloat16; float32 is used.
    """
    if asked and torch.device(device).type == "cpu" and not multiplies_bfloat16():
        warn_of_bfloat16("the encoder is trained in float32")
        return False
    return asked


def warn_of_bfloat16(instead: str) -> None:
    """Say that bfloat16 is not used, and what is done instead.

    Warns:
        SlowerPathWarning: always.
    """
    reason = "this processor has no native bfloat16 (AVX-512 BF16 or AMX), and emulating it would be many times slower"
    warnings.warn(f"{reason}; {instead}", SlowerPathWarning, stacklevel=3)


def onednn_limit() -> str:
    """What the environment holds oneDNN down to; empty if to nothing."""
    return (os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or "").upper()


def describe() -> str:
    """Instruction sets in use, for the record beside figures."""
    limit = onednn_limit()
    held = f", oneDNN held down to {limit}" if limit else ""
    return f"{torch.backends.cpu.get_cpu_capability()}{held}, {'with' if multiplies_bfloat16() else 'without'} bfloat16"
