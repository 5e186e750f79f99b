"""The choice of what computes an encoder."""

from __future__ import annotations

import copy
import importlib.util

import pytest
import torch
from lively_encoders import images, is_as_good, lively

from mofa3d.encoders import runtime as encoder_runtime
from mofa3d.encoders.runtime import PatientEncoder, choose_runtime, has_onnx
from mofa3d.errors import InputError, SlowerPathWarning

needs_onnx = pytest.mark.skipif(not has_onnx(), reason="the extra onnx is not installed")


def constant(value: float):
    return lambda image: torch.full((len(image), 1), value)


class TestPatience:
    def test_the_faster_one_is_made_once_and_only_after_enough_images(self):
        made = []

        def prepare():
            made.append(1)
            return constant(2.0)

        encode = PatientEncoder(constant(1.0), prepare, patience=3)
        values = [encode(images(4, count))[0, 0].item() for count in (1, 1, 1, 1, 5)]
        assert values == [1, 1, 1, 2, 2]
        assert made == [1]
        assert PatientEncoder(constant(1.0), prepare, patience=0)(images(4))[0, 0] == 2

    def test_the_first_one_stays_if_there_can_be_no_other(self):
        tried = []

        def prepare():
            tried.append(1)
            raise InputError("no")

        encode = PatientEncoder(constant(1.0), prepare, patience=1)
        assert [encode(images(4, 1)).item() for _ in range(4)] == [1, 1, 1, 1]
        assert tried == [1]


class TestChoice:
    @needs_onnx
    def test_onnx_at_once_and_after_a_while(self):
        encoder, image = lively("mobilenet_v2", 32), images(48)
        assert is_as_good(choose_runtime(encoder, 48, "onnx")(image), encoder, image)
        patient = choose_runtime(encoder, 48)
        assert torch.equal(patient(image), encoder(image))
        patient.left = 0
        found = patient(image)
        assert type(patient.current).__name__ == "OnnxEncoder"
        assert is_as_good(found, encoder, image)

    @pytest.mark.processor
    def test_large_linear_layers_are_rounded_after_a_while(self, monkeypatch):
        # The layers themselves ask the processor, and do without what it lacks.
        monkeypatch.setattr(encoder_runtime, "_has_bfloat16", lambda: True)
        encoder, image = lively("alexnet"), images(64)
        patient = choose_runtime(encoder, 64)
        assert torch.equal(patient(image), encoder(image))
        patient.left = 0
        rounded = patient(image)
        assert not torch.equal(rounded, encoder(image))
        assert torch.equal(rounded, choose_runtime(encoder, 64, "bfloat16")(image))
        torch.testing.assert_close(rounded, encoder(image), rtol=0.05, atol=0.05 * float(rounded.abs().max()))

    @pytest.mark.processor
    def test_rounding_where_nothing_multiplies_such_numbers_is_float32(self, monkeypatch):
        monkeypatch.setattr(encoder_runtime, "_has_bfloat16", lambda: False)
        encoder, image = lively("mobilenet_v2", 32), images(48)
        with pytest.warns(SlowerPathWarning, match=r"no native bfloat16 .*; instead of bfloat16, .* float32"):
            encode = choose_runtime(encoder, 48, "bfloat16")
        assert torch.equal(encode(image), encoder(image))

    def test_rounding_elsewhere_than_on_cpus(self):
        with pytest.raises(ValueError, match=r"'bfloat16' needs .* on the CPU, and not on meta: choose .auto."):
            choose_runtime(copy.deepcopy(lively("mobilenet_v2")).to("meta"), 48, "bfloat16")

    @pytest.mark.processor
    def test_processors_without_such_numbers_round_nothing(self, monkeypatch):
        monkeypatch.setattr(encoder_runtime, "_has_bfloat16", lambda: False)
        monkeypatch.setattr(encoder_runtime, "has_onnx", lambda: False)
        encoder = lively("alexnet")
        assert choose_runtime(encoder, 64) is encoder

    def test_torch_is_the_encoder_itself(self):
        encoder = copy.deepcopy(lively("mobilenet_v2")).train()
        assert choose_runtime(encoder, 48, "torch") is encoder
        assert not encoder.training

    def test_without_the_packages(self, monkeypatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        encoder = lively("mobilenet_v2")
        assert choose_runtime(encoder, 48) is encoder

    def test_unknown_name(self, unchecked_types):
        with pytest.raises(ValueError, match=r"'tensorrt': choose one of auto, torch, onnx, bfloat16$"):
            choose_runtime(lively("mobilenet_v2"), 48, "tensorrt")
