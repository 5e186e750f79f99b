"""Results do not depend on settings that PyTorch has for a whole process, nor on the block in which a call stands."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import torch
from lively_encoders import SIZES, images, lively
from tiny_model import make_tiny_model

from mofa3d.camera import Camera
from mofa3d.data.corpus.synthetic import SyntheticConfig, synthesize
from mofa3d.data.photo import read_photo
from mofa3d.decoder import Decoder
from mofa3d.encoders.checkpoint import open_run
from mofa3d.encoders.network import make_encoder
from mofa3d.encoders.runtime import choose_runtime, has_onnx
from mofa3d.environment.torch_settings import plain_settings
from mofa3d.fitting.color_fit import ColorFit
from mofa3d.fitting.gauss_newton import thies
from mofa3d.kernels.vertex_loss.cpu import FusedVertexLoss
from mofa3d.losses import coloured_light, landmark, photometric, regularizer
from mofa3d.models import load_model
from mofa3d.morphable_model import MorphableModel, save_model
from mofa3d.reconstruction.reconstructor import Reconstructor
from mofa3d.reconstruction.refine import Refiner
from mofa3d.renderers import make_renderer
from mofa3d.semantic_code import OutputScales, SemanticCode

CAMERA = Camera(64)


@contextmanager
def default_type(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


SETTINGS: dict[str, Callable[[], AbstractContextManager]] = {
    "float64": lambda: default_type(torch.float64),
    "bfloat16": lambda: default_type(torch.bfloat16),
    "another device": lambda: torch.device("meta"),
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "deterministic": deterministic,
    "one thread": one_thread,
}
STRICT = ("float64", "bfloat16", "another device", "inference mode")  # what fails if anything does
DIFFERENTIABLE = [name for name in SETTINGS if name not in ("inference mode", "no gradients")]


def assert_same(compute: Callable[[], torch.Tensor], setting: str, tolerance: float = 1e-4) -> None:
    plain = compute()
    with SETTINGS[setting]():
        found = compute()
    assert (found.dtype, found.device) == (plain.dtype, plain.device)
    assert found.is_inference() == plain.is_inference() == False or setting == "inference mode"  # noqa: E712
    torch.testing.assert_close(found, plain, rtol=tolerance, atol=tolerance)


@pytest.fixture(scope="module")
def model_file(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    save_model(make_tiny_model(), path)
    return str(path)


def vector() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return 0.2 * torch.randn(2, SIZES.total, generator=generator, dtype=torch.float32, device="cpu")


IMAGE, WEIGHTS = images(64), lively("mobilenet_v2", 32)


@pytest.mark.parametrize("setting", SETTINGS)
def test_models(setting, model_file):
    with SETTINGS[setting]():
        model = load_model("tiny", path=model_file)
        prints = model.fingerprint()
    assert prints == make_tiny_model().fingerprint()
    assert {value.dtype for value in model.buffers()} == {torch.float32, torch.int64, torch.bool}
    assert not any(value.is_inference() or value.device.type != "cpu" for value in model.buffers())


@pytest.mark.parametrize("setting", STRICT)
def test_default_model(setting, default_model):
    with SETTINGS[setting]():
        model = load_model("makehuman")
        assert model.fingerprint() == default_model.fingerprint()
    assert all(torch.equal(value, default_model.state_dict()[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("setting", STRICT)
def test_encoders(setting):
    def compute() -> torch.Tensor:
        scales = OutputScales(rotation=0.3)
        encoder = make_encoder("mobilenet_v2", sizes=SIZES, scales=scales, weights=None, input_size=32)
        encoder.load_state_dict({**WEIGHTS.state_dict(), "scales": encoder.scales})
        return encoder.eval()(IMAGE).detach()

    assert_same(compute, setting, 1e-3)


@pytest.mark.parametrize(
    ("backend", "setting"),
    [("vertex", name) for name in SETTINGS]
    + [("cpu", name) for name in SETTINGS]
    + [("pytorch3d", name) for name in ("float64", "autocast")],
)
def test_decoder_renderers_and_losses(setting, backend):
    model = make_tiny_model()

    def compute() -> torch.Tensor:
        leaf = vector().requires_grad_(torch.is_grad_enabled())
        code = SemanticCode.from_vector(leaf, SIZES)
        scene = Decoder(model, CAMERA)(code)
        points = torch.full((2, 68, 2), 30.0, dtype=torch.float32, device="cpu")
        loss = photometric(make_renderer(backend)(scene), IMAGE)
        loss = loss + landmark(scene.landmarks, points, torch.ones_like(points[..., 0]), CAMERA.image_size)
        loss = loss + coloured_light(code) + 1e-3 * regularizer(code)
        if setting in DIFFERENTIABLE:
            loss.sum().backward()
            return torch.cat([loss.detach(), leaf.grad.flatten()])
        return loss.detach()

    assert_same(compute, setting, 1e-3)


@pytest.mark.parametrize("setting", SETTINGS)
def test_fused_loss(setting):
    model = make_tiny_model()

    def compute() -> torch.Tensor:
        leaf = vector().requires_grad_(torch.is_grad_enabled())
        seen = FusedVertexLoss(model, CAMERA)(SemanticCode.from_vector(leaf, SIZES), IMAGE)
        if setting in DIFFERENTIABLE:
            seen.photometric.sum().backward()
            return torch.cat([seen.photometric.detach(), leaf.grad.flatten()])
        return torch.cat([seen.photometric, seen.landmarks.flatten()]).detach()

    assert_same(compute, setting)


@pytest.mark.parametrize(
    ("refined", "setting"), [(False, name) for name in SETTINGS] + [(True, "float64"), (True, "inference mode")]
)
def test_reconstruction(refined, setting, portrait, tiny_model, colors_of_few_vertices):
    photo = read_photo(portrait)

    def compute() -> torch.Tensor:
        def refine(decode: Decoder):
            return Refiner(decode, thies(), landmarks=False) if refined else colors_of(decode)

        [found] = Reconstructor(copy.deepcopy(WEIGHTS), Decoder(tiny_model, CAMERA), refine=refine)(photo)
        assert not found.scene.pixels.is_inference()
        return found.code.to_vector()

    assert_same(compute, setting, 1e-3)


def colors_of(decode: Decoder):
    fit = ColorFit(decode)
    return lambda code, crop: fit(code, crop.pixels[None])


@pytest.mark.skipif(not has_onnx(), reason="the extra onnx is not installed")
@pytest.mark.parametrize("setting", [*STRICT, "autocast"])
def test_export_of_encoders(setting):
    assert_same(lambda: choose_runtime(WEIGHTS, 64, "onnx")(IMAGE), setting, 1e-3)


@pytest.mark.parametrize("setting", ["float64", "bfloat16", "inference mode", "autocast"])
def test_corpora(setting, tmp_path):
    decode, config = Decoder(make_tiny_model(), CAMERA), SyntheticConfig(count=2)
    render = make_renderer("cpu", antialias=False)
    plain = synthesize(config, decode, render, tmp_path / "plain")
    with SETTINGS[setting]():
        found = synthesize(config, decode, render, tmp_path / "found")
        items = [found[0], found[1]]
    for item, expected in zip(items, [plain[0], plain[1]], strict=True):
        for name, value in expected.items():
            assert item[name].dtype == value.dtype
            torch.testing.assert_close(item[name], value, rtol=1e-3, atol=5e-3)
    assert not found.landmarks.is_inference()


def test_what_was_opened_in_inference_mode_can_be_trained_with(model_file):
    with torch.inference_mode():
        model = load_model("tiny", path=model_file)
        decode, fused, fit = Decoder(model, CAMERA), FusedVertexLoss(model, CAMERA), ColorFit(Decoder(model, CAMERA))
        encoder = make_encoder("mobilenet_v2", sizes=SIZES, weights=None, input_size=32)
    code = SemanticCode.from_vector(encoder(IMAGE), SIZES)
    loss = photometric(make_renderer("cpu")(decode(code)), IMAGE) + fused(code, IMAGE).photometric
    (loss + fit(code, IMAGE).shape.sum(dim=1)).sum().backward()
    assert float(encoder.head.weight.grad.abs().max()) > 0


def test_plain_settings_end_with_their_block_and_keep_whether_gradients_are_wanted():
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16), torch.device("meta"):
        with plain_settings():
            assert not torch.is_inference_mode_enabled()
            assert not torch.is_grad_enabled()
            assert not torch.is_autocast_enabled("cpu")
            assert torch.zeros(1).device.type == "cpu"
        assert torch.is_inference_mode_enabled()
        assert torch.is_autocast_enabled("cpu")
        assert torch.zeros(1).device.type == "meta"
    with plain_settings():
        assert torch.is_grad_enabled()
    with torch.no_grad(), plain_settings():
        assert not torch.is_grad_enabled()


def test_types_of_models_are_the_callers(tiny_model: MorphableModel, tiny_model_double: MorphableModel):
    with default_type(torch.bfloat16):
        for model, dtype in ((tiny_model, torch.float32), (tiny_model_double, torch.float64)):
            assert Decoder(model, CAMERA)(SemanticCode.zeros(1, SIZES, dtype=dtype)).pixels.dtype == dtype
        assert SemanticCode.zeros(1, SIZES).shape.dtype == torch.float32


@pytest.mark.parametrize("setting", ["float64", "bfloat16"])
def test_shipped_encoder(setting, default_model):
    image = images(240, 1)
    assert_same(lambda: choose_runtime(open_run()[0], 240, "torch")(image).detach(), setting, 1e-3)


MAKERS = {"zeros", "ones", "full", "empty", "eye", "rand", "randn", "linspace"}
ROOT = Path(__file__).parents[2]


def untyped(source: str) -> list[int]:
    """Lines on which a tensor is made whose type is the process's default."""
    tree = ast.parse(source)
    converted = {
        id(node.func.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("to", "float", "double")
    }
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and (node.func.value.id, node.func.attr) in {("torch", name) for name in MAKERS}
        and not any(keyword.arg in ("dtype", None) for keyword in node.keywords)
        and id(node) not in converted
    ]


def test_new_tensors_say_their_type():
    assert untyped("torch.zeros(3)\ntorch.zeros(3, dtype=x)\ntorch.eye(2).to(y)\ntorch.full((1,), 0.5)") == [1, 4]
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for folder in ("mofa3d", "renderers")
        for path in (ROOT / folder).rglob("*.py")
        for line in untyped(path.read_text(encoding="utf-8"))
    }
    assert found == set()
