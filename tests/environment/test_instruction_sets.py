"""What the processor has is asked for, and held down by those who test."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings

import pytest
import torch

from mofa3d.cli.streams import warn_in_one_line
from mofa3d.environment import instruction_sets
from mofa3d.environment.instruction_sets import bfloat16_or_float32, describe, multiplies_bfloat16
from mofa3d.errors import SlowerPathWarning

pytestmark = pytest.mark.processor

AVX2 = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "",
}
PROBE = """
import numba, numpy
from mofa3d.kernels import simd
from mofa3d.environment.instruction_sets import describe

@numba.njit(fastmath=True)
def total(numbers):
    found = simd.load(numbers, 0)
    for i in range(len(numbers)):
        found += simd.load(numbers, i)
    simd.store(numbers, 0, found)
    return numbers.sum()

numbers = numpy.ones((4, simd.LANES), numpy.float32)
total(numbers)
assert numbers[0].tolist() == [5.0] * simd.LANES
assembly = "".join(total.inspect_asm().values())
print(describe(), "ymm" in assembly, "zmm" in assembly)
"""


@pytest.fixture
def processor(monkeypatch):
    """Pretend a processor."""

    def pretend(machine="x86_64", bf16=False, amx=False, onednn=True, limit=""):
        monkeypatch.setattr("platform.machine", lambda: machine)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
        # Which also holds of processors that only convert such numbers, or have AVX-512 alone.
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: onednn)
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
        return multiplies_bfloat16()

    return pretend


def test_only_processors_that_multiply_bfloat16_count(processor):
    assert processor(bf16=True)
    assert processor(amx=True)
    assert processor(bf16=True, machine="AMD64")  # as Windows says it
    assert not processor()
    assert not processor(amx=True, onednn=False)
    assert not processor(bf16=True, machine="arm64")


def test_limits_of_the_environment_count(processor):
    assert processor(bf16=True, amx=True, limit="AVX512_CORE_BF16")
    for limit in ("AVX512_CORE", "avx2", "AVX2_VNNI_2", "SSE41"):
        assert not processor(bf16=True, amx=True, limit=limit)
        assert f"oneDNN held down to {limit.upper()}, without bfloat16" in describe()


def test_pytorch_without_onednn_has_no_bfloat16(processor, monkeypatch):
    assert processor(bf16=True)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not multiplies_bfloat16()


def test_bfloat16_falls_back_to_float32_with_one_warning(monkeypatch):
    monkeypatch.setattr(instruction_sets, "multiplies_bfloat16", lambda: False)
    with pytest.warns(SlowerPathWarning, match="no native bfloat16 .*; the encoder is trained in float32"):
        assert not bfloat16_or_float32(True, "cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert bfloat16_or_float32(True, "cuda")
        assert not bfloat16_or_float32(False, "cpu")
        monkeypatch.setattr(instruction_sets, "multiplies_bfloat16", lambda: True)
        assert bfloat16_or_float32(True, "cpu")


def test_programs_warn_in_one_line(monkeypatch):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    warn_in_one_line()
    assert warnings.formatwarning("slow", SlowerPathWarning, "a.py", 3) == "warning: slow\n"
    assert "a.py:3: UserWarning: other" in warnings.formatwarning("other", UserWarning, "a.py", 3)


@pytest.mark.skipif(not torch.cpu._is_avx2_supported(), reason="this processor has no AVX2")
def test_instruction_sets_can_be_held_down():
    done = subprocess.run(
        [sys.executable, "-c", PROBE], env={**os.environ, **AVX2}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[0] == "AVX2, oneDNN held down to AVX2, without bfloat16 True False"
