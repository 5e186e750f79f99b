"""The single-precision library against the float64 loops of `oracle`: Eqs. 1 to 10, in values and gradients."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
import torch
from tiny_model import make_code, make_tiny_model

from mofa3d import losses, metrics
from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.morphable_model import MorphableModel
from mofa3d.objective import LossWeights, compute_losses
from mofa3d.renderers.vertex import VertexRenderer
from mofa3d.scene import Scene
from mofa3d.semantic_code import CodeSizes, SemanticCode

pytestmark = pytest.mark.processor

SIZE = 96
BATCH = 3
BLOCKS = ("shape", "expression", "reflectance", "rotation", "translation", "illumination")


def make_image(batch: int, size: int, seed: int) -> torch.Tensor:
    """Colored blotches a few pixels wide, as float32."""
    noise = torch.rand(batch, 3, size // 8, size // 8, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(noise, (size, size), mode="bicubic").clamp(0, 1)


class Case:
    """One batch, in both precisions."""

    def __init__(self, model: MorphableModel, code: SemanticCode, size: int) -> None:
        self.model, self.code, self.size = model, code, size
        self.face = oracle.Face.of(model)
        self.image = make_image(len(code), size, seed=1)
        generator = torch.Generator().manual_seed(2)
        self.detected = size * torch.rand(len(code), 68, 2, generator=generator)
        self.confidence = torch.rand(len(code), 68, generator=generator)
        self.vectors = code.to_vector().double().numpy()
        self.pictures = [oracle.render(x, self.face, size) for x in self.vectors]

    @property
    def batch(self) -> dict[str, torch.Tensor]:
        return {"image": self.image, "landmarks": self.detected, "confidence": self.confidence}

    def scene(self) -> Scene:
        return Decoder(self.model, Camera(self.size))(self.code)

    def reference_inputs(self, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return tuple(tensor[i].double().numpy() for tensor in (self.image, self.detected, self.confidence))

    def check_scene(self) -> None:
        scene = self.scene()
        for i, picture in enumerate(self.pictures):
            assert np.abs(scene.pixels[i].numpy() - picture.pixels).max() < 5e-3
            assert np.abs(scene.landmarks[i].numpy() - picture.landmarks).max() < 5e-3
            assert np.abs(scene.colors[i].numpy() - picture.colors).max() < 5e-4
            assert np.mean(scene.front_facing[i].numpy() != picture.visible) < 1e-3
            assert picture.visible[self.face.frontal].mean() > 0.5

    def check_losses(self) -> None:
        scene = self.scene()
        photometric = losses.photometric(VertexRenderer()(scene), self.image)
        for i, picture in enumerate(self.pictures):
            image, _, _ = self.reference_inputs(i)
            expected = oracle.photometric(picture, image, self.face, picture.visible)
            assert expected > 0.05
            assert float(photometric[i]) == pytest.approx(expected, rel=2e-3)


@pytest.fixture(scope="module")
def case() -> Case:
    return Case(make_tiny_model(rings=16), make_code(BATCH, dtype=torch.float32), SIZE)


def test_positions_colors_and_visibility(case):
    case.check_scene()
    # The turned heads hide some of their vertices, so visibility is really tested.
    assert not all(picture.visible.all() for picture in case.pictures)


def test_photometric_loss(case):
    case.check_losses()


def test_photometric_loss_with_samples_outside_the_image(case):
    code = case.code.replace(translation=case.code.translation + torch.tensor([85.0, 0.0, 0.0]))
    moved = Case(case.model, code, SIZE)
    outside = [np.mean(picture.pixels[case.face.frontal, 0] < 0) for picture in moved.pictures]
    assert min(outside) > 0.05
    moved.check_losses()


def test_landmark_loss_and_regulariser(case):
    values = losses.landmark(case.scene().landmarks, case.detected, case.confidence, SIZE)
    regularizers = losses.regularizer(case.code)
    for i, picture in enumerate(case.pictures):
        _, detected, confidence = case.reference_inputs(i)
        expected = oracle.landmark(picture, detected, confidence, SIZE)
        assert float(values[i]) == pytest.approx(expected, rel=1e-5)
        assert float(regularizers[i]) == pytest.approx(oracle.regularizer(case.vectors[i], case.face), rel=1e-5)


def test_photometric_error_is_the_mean_over_the_visible_samples(case):
    errors = metrics.photometric_error(VertexRenderer()(case.scene()), case.image)
    for i, picture in enumerate(case.pictures):
        image, _, _ = case.reference_inputs(i)
        total = oracle.photometric(picture, image, case.face, picture.visible) * case.face.frontal.sum()
        pixels, counted = picture.pixels, picture.visible & case.face.frontal
        counted = counted & ((pixels >= 0) & (pixels <= SIZE)).all(axis=1)
        assert float(errors[i]) == pytest.approx(total / counted.sum(), rel=2e-3)


@pytest.mark.parametrize("block", BLOCKS)
def test_gradient_of_the_total_loss(case, block):
    """Autograd in float32 against central differences of the float64 loops, along random directions of one block."""
    sizes = case.code.sizes
    vector = case.code.to_vector().requires_grad_()
    code = SemanticCode.from_vector(vector, sizes)
    weights = LossWeights(landmark=1.0)
    scene = Decoder(case.model, Camera(SIZE))(code)
    terms = compute_losses(code, scene, VertexRenderer()(scene), case.batch, weights)
    sum(getattr(weights, name) * term.sum() for name, term in terms.items()).backward()
    random = np.random.default_rng(3)
    step = {"rotation": 1e-6, "translation": 1e-4}.get(block, 1e-5)
    for i, (x, picture) in enumerate(zip(case.vectors, case.pictures, strict=True)):
        autograd, differences = [], []
        for _ in range(4):
            direction = np.zeros_like(x)
            direction[sizes.slices[block]] = random.normal(size=sizes.slices[block].stop - sizes.slices[block].start)
            ends = [
                oracle.total_loss(x + sign * step * direction, case.face, *case.reference_inputs(i), picture.visible)
                for sign in (1, -1)
            ]
            differences.append((ends[0] - ends[1]) / (2 * step))
            autograd.append(float(vector.grad[i].double().numpy() @ direction))
        error = np.linalg.norm(np.subtract(autograd, differences)) / np.linalg.norm(differences)
        assert error < 0.02, (i, autograd, differences)


def test_zero_code_is_the_same_in_both():
    Case(make_tiny_model(), SemanticCode.zeros(1, CodeSizes(5, 4, 6)), SIZE).check_scene()


def test_default_model_at_full_resolution(default_model):
    case = Case(default_model, make_code(1, default_model.sizes, seed=5, dtype=torch.float32), 240)
    case.check_scene()
    case.check_losses()
