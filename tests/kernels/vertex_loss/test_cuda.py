"""The fused loss for GPUs gives the numbers and derivatives of the plain path.

On a machine with a GPU the kernels are compiled and run there, elsewhere Triton's interpreter runs them on the CPU.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from functools import partial
from itertools import repeat

import pytest
import torch
import vertex_scenes
from fused_loss_tests import FusedLossTests
from programs import ROOT
from tiny_model import make_tiny_model
from torch import nn
from vertex_scenes import CAMERA, copy_of, evaluate, in_double, make_images, make_vector, reference

from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.encoders.network import Encoder
from mofa3d.kernels.vertex_loss import choose
from mofa3d.kernels.vertex_loss import cuda as cuda_vertex_loss
from mofa3d.kernels.vertex_loss.choose import make_vertex_loss
from mofa3d.kernels.vertex_loss.cpu import FusedVertexLoss
from mofa3d.kernels.vertex_loss.cuda import CudaVertexLoss
from mofa3d.morphable_model import MorphableModel
from mofa3d.objective import LossWeights
from mofa3d.renderers.vertex import VertexRenderer
from mofa3d.semantic_code import SemanticCode
from mofa3d.training.mofa import TrainingConfig, train

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
needs_gpu = pytest.mark.skipif(DEVICE == "cpu", reason="there is no NVIDIA GPU")
assert_agrees = partial(vertex_scenes.assert_agrees, CudaVertexLoss)


@pytest.fixture(autouse=True)
def few_programs(monkeypatch):
    """The interpreter takes as long for a block of any size."""
    if DEVICE == "cpu":
        monkeypatch.setattr(cuda_vertex_loss, "BLOCK", 128)


@pytest.fixture
def model() -> MorphableModel:
    return make_tiny_model().to(DEVICE)


class TestAgainstThePlainPath(FusedLossTests):
    kind = CudaVertexLoss


@pytest.mark.parametrize("angle", [0.0, 1e-6, 5e-3, 2e-2, 3.1])
def test_rotations_of_any_angle(model, angle):
    vector = make_vector(1, model.sizes)
    where = model.sizes.slices["rotation"]
    # Not so far that the face is seen from behind.
    vector[:, where] = angle * torch.tensor([0.0, 0.0, 1.0] if angle > 1 else [0.6, 0.48, 0.64], dtype=torch.float64)
    *_, expected = reference(in_double(model), CAMERA, vector, make_images(1), False, 0.0)
    ours = assert_agrees(model, CAMERA, vector, make_images(1)).double()
    assert (ours - expected)[:, where].norm() < 1e-4 * expected[:, where].norm()


@pytest.mark.parametrize("area_weights", [False, True])
def test_numbers_and_gradients_are_those_on_the_cpu(model, area_weights):
    vector, image = make_vector(3, model.sizes), make_images(3)
    theirs = evaluate(FusedVertexLoss(copy_of(model).cpu(), CAMERA, area_weights), vector, image, 0.1)
    ours = evaluate(CudaVertexLoss(model, CAMERA, area_weights), vector, image.to(DEVICE), 0.1)
    for value, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(value.cpu(), expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("area_weights", [False, True])
def test_results_do_not_depend_on_the_block(model, area_weights, monkeypatch):
    vector, image = make_vector(2, model.sizes), make_images(2).to(DEVICE)
    results = []
    for block in (32, 128):
        monkeypatch.setattr(cuda_vertex_loss, "BLOCK", block)
        results.append(evaluate(CudaVertexLoss(model, CAMERA, area_weights), vector, image))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6 * float(other.abs().max()))


def test_autocast_costs_no_digits(model):
    loss, vector, image = CudaVertexLoss(model, CAMERA, True), make_vector(2, model.sizes), make_images(2).to(DEVICE)
    expected = evaluate(loss, vector, image)
    with torch.autocast(DEVICE, torch.bfloat16):
        found = evaluate(loss, vector, image)
        code = SemanticCode.from_vector(vector.float().to(DEVICE), model.sizes)
        points = loss(code, image).landmarks
    for value, other in zip(found, expected, strict=True):
        assert torch.equal(value, other)
    assert torch.equal(points, loss(code, image).landmarks)


def test_results_are_the_same_every_time(model):
    loss, vector, image = CudaVertexLoss(model, CAMERA, True), make_vector(2, model.sizes), make_images(2).to(DEVICE)
    for first, second in zip(evaluate(loss, vector, image), evaluate(loss, vector, image), strict=True):
        assert torch.equal(first, second)


def test_no_frontal_vertex_at_all(model):
    model.frontal[:] = False
    loss, _, gradient = evaluate(
        CudaVertexLoss(model, CAMERA, True), make_vector(2, model.sizes), make_images(2).to(DEVICE)
    )
    assert not loss.any()
    assert not gradient.any()


def test_other_models_are_refused():
    with pytest.raises(ValueError, match=r"takes float32 models on NVIDIA GPUs, got torch\.float64 on .*; move the"):
        CudaVertexLoss(make_tiny_model(dtype=torch.float64).to(DEVICE), CAMERA)


def test_missing_triton(model, monkeypatch):
    monkeypatch.setattr(choose, "find_spec", lambda name: None)
    assert make_vertex_loss(model, CAMERA, "cuda") is None
    for name in ("cuda_triton", "cuda_vertex_triton"):
        monkeypatch.delitem(sys.modules, f"mofa3d.kernels.vertex_loss.{name}", raising=False)
        monkeypatch.delattr(f"mofa3d.kernels.vertex_loss.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.raises(ValueError, match=r"needs Triton, .*: pip install triton; or use Decoder"):
        CudaVertexLoss(model, CAMERA)


def test_missing_compiler(model, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(choose.shutil, "which", lambda name: None)
    with pytest.warns(UserWarning, match=r"plain PyTorch, .* install gcc and python3-dev"):
        assert make_vertex_loss(model, CAMERA, "cuda") is None


def test_the_loss_of_each_device(tiny_model):
    assert isinstance(make_vertex_loss(tiny_model, CAMERA, "cpu", area_weights=True), FusedVertexLoss)
    assert make_vertex_loss(tiny_model, CAMERA, "meta") is None
    if DEVICE == "cuda":
        loss = make_vertex_loss(tiny_model, CAMERA, torch.device("cuda"), area_weights=True)
        assert isinstance(loss, CudaVertexLoss)
        assert loss.area_weights
        assert tiny_model.mean_shape.device.type == "cpu"


def test_kernels_compile_without_a_gpu(tmp_path):
    """In a process of its own, because this one's kernels may be Python."""
    packages = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support"), os.environ.get("PYTHONPATH", "")])
    changes = {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": packages}
    environment = {**os.environ, **changes}
    command = [sys.executable, str(ROOT / "tests" / "support" / "compile_cuda_kernels.py")]
    options = {"capture_output": True, "text": True, "env": environment, "timeout": 300}
    result = subprocess.run(command, check=False, **options)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 5


@pytest.mark.cuda
@needs_gpu
@pytest.mark.parametrize("batch", [1, 5, 24])
@pytest.mark.parametrize("area_weights", [False, True])
class TestOnTheGpu:
    def test_a_model_of_the_usual_size(self, batch, area_weights):
        model = make_tiny_model(80, (80, 64, 80)).to(DEVICE)
        # So many random waves would not leave a face of it.
        for basis in (model.shape_basis, model.expression_basis, model.reflectance_basis):
            basis /= 8
        camera, vector = Camera(240), make_vector(batch, model.sizes)
        assert_agrees(model, camera, vector, make_images(batch, 240), area_weights, 0.1)

    def test_the_default_model(self, default_model, batch, area_weights):
        model, camera = copy_of(default_model).to(DEVICE), Camera(240)
        vector = make_vector(batch, model.sizes)
        assert_agrees(model, camera, vector, make_images(batch, 240), area_weights, 0.1)


@pytest.mark.cuda
@needs_gpu
def test_a_batch_of_many_images(model):
    assert_agrees(model, CAMERA, make_vector(512, model.sizes), make_images(512), True, 0.1)


@pytest.mark.cuda
@needs_gpu
def test_loss_and_gradient_can_be_captured_in_a_graph(model):
    loss, image = CudaVertexLoss(model, CAMERA, True), make_images(4).to(DEVICE)
    leaf = make_vector(4, model.sizes).float().to(DEVICE).requires_grad_()

    def work() -> tuple[torch.Tensor, torch.Tensor]:
        seen = loss(SemanticCode.from_vector(leaf, model.sizes), image).photometric
        return seen.detach(), *torch.autograd.grad(seen.sum(), leaf)

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        work()  # compiles
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = work()
    with torch.no_grad():
        leaf.copy_(make_vector(4, model.sizes, "half outside", seed=7))
    graph.replay()
    for value, expected in zip(captured, work(), strict=True):
        torch.testing.assert_close(value, expected)


@pytest.mark.cuda
@needs_gpu
def test_training_on_the_gpu_lowers_the_loss(model, tmp_path):
    torch.manual_seed(0)
    decode, render = Decoder(model, CAMERA), VertexRenderer(area_weights=True)
    backbone = nn.Sequential(nn.AdaptiveAvgPool2d(6), nn.Flatten(), nn.Linear(108, 32), nn.ReLU())
    encoder = Encoder(backbone, 32, model.sizes).to(DEVICE)
    truth = SemanticCode.from_vector(make_vector(4, model.sizes).float().to(DEVICE), model.sizes)
    points = decode(truth).landmarks.detach()
    confidence = torch.ones(4, 68, device=DEVICE)
    batch = {"image": make_images(4).to(DEVICE), "landmarks": points, "confidence": confidence}
    weights = LossWeights(landmark=1.0, background_cost=0.1)
    config = TrainingConfig(iterations=40, optimizer="adam", learning_rate=0.01, log_every=1, loss=weights)
    fused = make_vertex_loss(model, CAMERA, DEVICE, area_weights=True)
    train(encoder, decode, render, lambda _: repeat(batch), config, tmp_path, {}, fused=fused)
    log = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert len(log) == 40
    assert log[-1]["loss"] < 0.7 * log[0]["loss"]
    assert log[-1]["photometric"] < log[0]["photometric"]
