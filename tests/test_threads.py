"""Several threads of one process use the same encoder, decoder, renderer and losses at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from lively_encoders import images, is_as_good, lively
from tiny_model import make_code, make_tiny_model

from mofa3d import api
from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.encoders.graph import flatten_encoder
from mofa3d.encoders.runtime import PatientEncoder, choose_runtime, has_onnx
from mofa3d.fitting.color_fit import ColorFit
from mofa3d.kernels.vertex_loss.cpu import FusedVertexLoss
from mofa3d.losses import photometric
from mofa3d.renderers import make_renderer
from mofa3d.semantic_code import SemanticCode

CAMERA = Camera(48)
THREADS, CALLS = 6, 18


@pytest.fixture(autouse=True)
def one_thread_of_pytorchs_each():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def at_once(call: Callable[[int], object]) -> list:
    """What a function says about 0, 1, 2 and so on, asked by several threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(call, range(CALLS)))


def assert_threads_do_not_meet(call: Callable[[int], torch.Tensor]) -> None:
    alone = [call(number) for number in range(CALLS)]
    assert not torch.equal(alone[0], alone[1])
    for found, expected in zip(at_once(call), alone, strict=True):
        assert torch.equal(found, expected)


def gradient(seed: int, loss_of: Callable[[SemanticCode], torch.Tensor]) -> torch.Tensor:
    code = make_code(2, seed=seed, dtype=torch.float32)
    leaf = code.to_vector().requires_grad_()
    loss_of(SemanticCode.from_vector(leaf, code.sizes)).sum().backward()
    return leaf.grad


class TestEncoders:
    def test_a_network_may_be_flattened_while_others_run(self):
        encoder, image, stop = lively("mobilenet_v2", 32), images(48, 1), threading.Event()

        def run(_: int) -> list[torch.Tensor]:
            found = []
            while not stop.is_set():
                found.append(encoder(image).detach())
            return found

        with ThreadPoolExecutor(3) as pool:
            runs = [pool.submit(run, number) for number in range(3)]
            for _ in range(3):
                flatten_encoder(encoder, 48)
            stop.set()
            found = [code for run in runs for code in run.result()]
        assert len(found) >= 3
        expected = encoder(image).detach()
        for code in found:
            torch.testing.assert_close(code, expected, rtol=1e-3, atol=1e-3)

    @pytest.mark.skipif(not has_onnx(), reason="the extra onnx is not installed")
    def test_threads_go_over_to_onnx_together(self):
        encoder, image = lively("mobilenet_v2", 32), images(48)
        patient = choose_runtime(encoder, 48)
        patient.left = 8
        found = at_once(lambda _: patient(image).detach())
        assert type(patient.current).__name__ == "OnnxEncoder"
        assert all(is_as_good(code, encoder, image) for code in found[:: CALLS // 2])
        assert all(torch.allclose(code, found[0], rtol=1e-3, atol=1e-3) for code in found)

    def test_the_faster_encoder_is_made_once_while_the_first_goes_on(self):
        made, first, second = [], threading.Event(), images(4, 1)[:, 0, 0]

        def prepare() -> Callable[[torch.Tensor], torch.Tensor]:
            made.append(1)
            assert first.wait(20)  # that of another thread, which must not wait for this one
            return lambda image: second

        def slow(image: torch.Tensor) -> torch.Tensor:
            first.set()
            return image[:, 0, 0]

        encode = PatientEncoder(slow, prepare, patience=0)
        assert len(at_once(lambda _: encode(images(4, 1)))) == CALLS
        assert made == [1]


def test_threads_that_begin_at_once_open_one_encoder(monkeypatch, tmp_path, unchecked_types):
    opened = []

    class Reconstructor:
        decode = None

        def __call__(self, photo, every_face):
            return []

        @classmethod
        def open(cls, run, runtime, refine):
            opened.append(run)
            time.sleep(0.2)
            return cls()

    class Textures:
        def __init__(self, model, rasterize):
            pass

    Reconstructor.decode = type("Decode", (), {"model": None})
    monkeypatch.setattr(api, "Reconstructor", Reconstructor)
    monkeypatch.setattr(api, "FaceTextures", Textures)
    monkeypatch.setattr(api, "ReconstructionWriter", lambda textures, render, options: None)
    (tmp_path / "run.safetensors").touch()
    black = np.zeros((8, 8, 3), dtype=np.uint8)
    checkpoint = str(tmp_path / "run.safetensors")
    assert at_once(lambda _: api.reconstruct(black, checkpoint=checkpoint, every_face=True)) == [[]] * CALLS
    assert opened == [tmp_path / "run.safetensors"]
    api._open.cache_clear()


@pytest.mark.parametrize("backend", ["vertex", "cpu"])
def test_decoder_and_renderers_are_shared(backend):
    decode, render, image = Decoder(make_tiny_model(), CAMERA), make_renderer(backend), images(48)
    assert_threads_do_not_meet(lambda seed: gradient(seed, lambda code: photometric(render(decode(code)), image)))


def test_renderer_of_several_triangulations_is_shared():
    decoders = [Decoder(make_tiny_model(rings), CAMERA) for rings in (10, 12)]
    render, image = make_renderer("cpu"), images(48)
    assert_threads_do_not_meet(
        lambda seed: gradient(seed, lambda code: photometric(render(decoders[seed % 2](code)), image))
    )


def test_fused_loss_is_shared():
    loss, image = FusedVertexLoss(make_tiny_model(), CAMERA), images(48)
    assert_threads_do_not_meet(lambda seed: gradient(seed, lambda code: loss(code, image).photometric))


def test_fit_of_colors_is_shared(colors_of_few_vertices):
    fit, image = ColorFit(Decoder(make_tiny_model(), CAMERA)), images(48)
    assert_threads_do_not_meet(lambda seed: fit(make_code(2, seed=seed, dtype=torch.float32), image).to_vector())
