"""Whatever a process did before it forked, its child goes on: PyTorch's threads do not survive, and wait for ever."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from lively_encoders import images, lively
from tiny_model import make_code, make_tiny_model

from mofa3d.camera import Camera
from mofa3d.data.photo import read_photo, to_tensor
from mofa3d.decoder import Decoder
from mofa3d.encoders.runtime import choose_runtime, has_onnx, open_with_onnx
from mofa3d.fitting.color_fit import ColorFit
from mofa3d.kernels.vertex_loss.cpu import FusedVertexLoss
from mofa3d.losses import photometric
from mofa3d.reconstruction.reconstructor import Reconstructor
from mofa3d.renderers import make_renderer
from mofa3d.semantic_code import SemanticCode

pytestmark = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork"
)
CAMERA = Camera(64)
PATIENCE = 30  # seconds


def in_a_child(work: Callable[[], torch.Tensor]) -> torch.Tensor:
    """What a forked process computes."""
    fork = multiprocessing.get_context("fork")
    answers = fork.SimpleQueue()
    child = fork.Process(target=lambda: answers.put(work().tolist()))
    child.start()
    child.join(PATIENCE)
    if child.is_alive():
        child.kill()
        child.join()
        pytest.fail("the forked process hangs")
    assert child.exitcode == 0
    return torch.tensor(answers.get())


@pytest.fixture
def two_threads():
    """A process that has used PyTorch's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.rand(2000, 2000).exp().sum()
    yield
    torch.set_num_threads(before)


def assert_goes_on(work: Callable[[], torch.Tensor]) -> None:
    here = work()
    assert float(here.abs().max()) > 0
    torch.testing.assert_close(in_a_child(work), here, rtol=1e-3, atol=1e-3)  # random networks amplify rounding


def gradient(loss_of: Callable[[SemanticCode], torch.Tensor]) -> torch.Tensor:
    model = make_tiny_model()
    leaf = make_code(6, model.sizes, dtype=torch.float32).to_vector().requires_grad_()
    loss_of(SemanticCode.from_vector(leaf, model.sizes)).sum().backward()
    return leaf.grad


def test_photographs_become_tensors(two_threads, portrait):
    pixels = torch.randint(0, 256, (1500, 1500, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert_goes_on(lambda: to_tensor(pixels.numpy()).mean(dim=(1, 2)))


@pytest.mark.parametrize("backend", ["vertex", "cpu", "pytorch3d"])
def test_decoder_and_renderers(two_threads, backend):
    decode, render = Decoder(make_tiny_model(), CAMERA), make_renderer(backend)
    assert_goes_on(lambda: gradient(lambda code: photometric(render(decode(code)), images(64, 6))))


def test_fused_loss(two_threads):
    loss = FusedVertexLoss(make_tiny_model(), CAMERA)
    assert_goes_on(lambda: gradient(lambda code: loss(code, images(64, 6)).photometric))


def test_fitted_colors(two_threads, colors_of_few_vertices):
    fit = ColorFit(Decoder(make_tiny_model(), CAMERA))
    assert_goes_on(lambda: fit(make_code(6, dtype=torch.float32), images(64, 6)).to_vector())


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_encoders(two_threads, runtime):
    if runtime == "onnx" and not has_onnx():
        pytest.skip("the extra onnx is not installed")
    encode = choose_runtime(lively("mobilenet_v2", 32), 48, runtime)
    assert_goes_on(lambda: encode(images(48)).detach())


def test_a_child_has_a_session_of_its_own(two_threads):
    """Onnxruntime's threads end with the fork, and now and then one had been given work."""
    if not has_onnx():
        pytest.skip("the extra onnx is not installed")
    encode = open_with_onnx(lively("mobilenet_v2", 32), 48)
    before = encode.session
    here = encode(images(48))

    def changed() -> torch.Tensor:
        code = encode(images(48))
        options = encode.session.get_session_options()
        return torch.cat([torch.tensor([float(encode.session is before), options.intra_op_num_threads]), code[0]])

    found = in_a_child(changed)
    assert found[:2].tolist() == [0, 1]
    torch.testing.assert_close(found[2:], here[0], rtol=1e-3, atol=1e-3)
    assert encode.session is before
    assert before.get_session_options().intra_op_num_threads == 2


def test_reconstruction(two_threads, portrait, tiny_model, colors_of_few_vertices):
    reconstructor = Reconstructor(lively("mobilenet_v2", 32), Decoder(tiny_model, CAMERA))
    photo = read_photo(portrait)
    assert_goes_on(lambda: reconstructor(photo)[0].code.to_vector())


def test_a_child_works_on_one_thread_and_its_parent_on_as_many_as_before(two_threads):
    assert in_a_child(lambda: torch.tensor([torch.get_num_threads()])).tolist() == [1]
    assert torch.get_num_threads() == 2
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == 2
