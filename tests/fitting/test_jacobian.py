"""The explicit Jacobian is autograd's, for every block of the code and to the last vertex of the rim."""

from __future__ import annotations

import pytest
import torch
from scipy.spatial.transform import Rotation
from tiny_model import make_code, make_tiny_model

from mofa3d import Camera, Decoder, SemanticCode, losses
from mofa3d.fitting.jacobian import (
    SampledFace,
    landmark_rows,
    photometric_rows,
    right_jacobian,
    sample,
    vertex_derivatives,
)
from mofa3d.morphable_model import MorphableModel

pytestmark = pytest.mark.processor

CAMERA = Camera(64)


def make_image(dtype=torch.float64) -> torch.Tensor:
    """Noise, whose bilinear gradient is different everywhere."""
    return torch.rand(64, 64, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64).to(dtype)


def everywhere(dtype=torch.float64) -> MorphableModel:
    """A model that is compared everywhere, up to the rim of the mesh."""
    model = make_tiny_model(dtype=dtype)
    model.frontal[:] = True
    return model


def residuals(face: SampledFace, vectors: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Color minus photograph of the sampled vertices, by the plain decoder, for each of several codes."""
    model = face.decode.model
    scene = Decoder(model, face.decode.camera, fused=False)(SemanticCode.from_vector(vectors, model.sizes))
    shown = losses.sample(image.permute(2, 0, 1).expand(len(vectors), -1, -1, -1), scene.pixels).transpose(1, 2)
    return (scene.colors - shown)[:, face.vertices].flatten(1)


def autograds_rows(face: SampledFace, vector: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """The Jacobian of `residuals`: of each one for a copy of the code, which takes one backward pass for all."""
    copies = vector.repeat(3 * len(face.vertices), 1).requires_grad_()
    return torch.autograd.grad(residuals(face, copies, image).diagonal().sum(), copies)[0]


def rows_of(face: SampledFace, vector: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """The explicit Jacobian of `residuals`."""
    scene = face.decode(SemanticCode.from_vector(vector[None], face.decode.model.sizes))
    samples = sample(image, scene.pixels[0, face.vertices])
    derivatives = vertex_derivatives(face, scene, samples.gradients)
    count = len(face.vertices)
    return photometric_rows(face, derivatives, torch.arange(count), vector.new_ones(count))


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_photometric_rows_are_autograds(every, seed):
    face, image = SampledFace(everywhere(), CAMERA, every), make_image()
    assert len(face.vertices) == 144 // every
    vector = make_code(1, seed=seed).to_vector()[0]
    expected = autograds_rows(face, vector, image)
    rows = rows_of(face, vector, image)
    for name, where in face.decode.model.sizes.slices.items():
        scale = float(expected[:, where].abs().max())
        assert scale > 0.01, name
        torch.testing.assert_close(rows[:, where], expected[:, where], atol=1e-11 * scale, rtol=1e-9, msg=name)


def test_normals_of_the_geometry_count():
    # Without an image gradient, geometry acts through the normals alone.
    face, flat = SampledFace(everywhere(), CAMERA), torch.full((64, 64, 3), 0.5, dtype=torch.float64)
    vector = make_code(1).to_vector()[0]
    rows = rows_of(face, vector, flat)
    expected = autograds_rows(face, vector, flat)
    shape = face.decode.model.sizes.slices["shape"]
    assert expected[:, shape].abs().max() > 1e-3
    torch.testing.assert_close(rows, expected, atol=1e-12, rtol=1e-9)


def test_single_precision_is_close():
    image = make_image()
    vector = make_code(1).to_vector()[0]
    exact = rows_of(SampledFace(everywhere(), CAMERA), vector, image)
    single = rows_of(SampledFace(everywhere(torch.float32), CAMERA), vector.float(), image.float())
    assert single.dtype == torch.float32
    # Where rounding moves a pixel across the line between two of the image's, the bilinear gradient is another.
    close = ((single - exact).abs() < 1e-3 * exact.abs().amax(dim=0)).all(dim=1)
    assert close.double().mean() > 0.99


def test_some_vertices_with_factors(tiny_model_double):
    face, image = SampledFace(tiny_model_double, CAMERA), make_image()
    code = make_code(1)
    everything = rows_of(face, code.to_vector()[0], image)
    scene = face.decode(code)
    derivatives = vertex_derivatives(face, scene, sample(image, scene.pixels[0, face.vertices]).gradients)
    chosen, factors = torch.tensor([7, 2, 40]), torch.tensor([1.0, 0.5, -2.0], dtype=torch.float64)
    rows = photometric_rows(face, derivatives, chosen, factors).view(3, 3, -1)
    torch.testing.assert_close(rows, everything.view(-1, 3, rows.shape[2])[chosen] * factors[:, None, None])


def test_number_of_threads_does_not_matter(tiny_model, monkeypatch):
    face, image = SampledFace(tiny_model, CAMERA), make_image(torch.float32)
    vector = make_code(1, dtype=torch.float32).to_vector()[0]
    results = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        results.append(rows_of(face, vector, image))
    assert torch.equal(*results)


def test_default_model(default_model):
    keep = torch.zeros_like(default_model.frontal)
    keep[default_model.frontal.nonzero().flatten()[::40]] = True
    face, image = SampledFace(default_model.restrict(keep).double(), CAMERA), make_image()
    sizes = face.decode.model.sizes
    vector = make_code(1, sizes).to_vector()[0].requires_grad_()
    left = torch.randn(3 * len(face.vertices), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (expected,) = torch.autograd.grad(left @ residuals(face, vector[None], image)[0], vector)
    found = left @ rows_of(face, vector.detach(), image)
    torch.testing.assert_close(found, expected, atol=1e-6 * float(expected.abs().max()), rtol=1e-6)


def test_triangles_without_area_have_finite_rows(tiny_model_double):
    model = tiny_model_double
    model.mean_shape[:] = model.mean_shape[:1]  # all in one point, and there it stays
    model.shape_basis[:], model.expression_basis[:] = 0, 0
    assert rows_of(SampledFace(model, CAMERA), make_code(1).to_vector()[0], make_image()).isfinite().all()


def test_landmark_rows_are_autograds(tiny_model_double):
    face, vector = SampledFace(tiny_model_double, CAMERA, 4), make_code(1).to_vector()[0]
    plain = Decoder(tiny_model_double, CAMERA, fused=False)  # the whole model's landmarks are the same

    def points(v: torch.Tensor) -> torch.Tensor:
        scene = plain(SemanticCode.from_vector(v[None], tiny_model_double.sizes))
        return scene.landmarks[0]

    expected = torch.autograd.functional.jacobian(points, vector)
    rows = landmark_rows(face, face.decode(SemanticCode.from_vector(vector[None], tiny_model_double.sizes)))
    assert rows.shape == (68, 2, tiny_model_double.sizes.total)
    # Thirds in single precision do not sum to 1, which only the derivative of the pose's own formula sees.
    torch.testing.assert_close(rows, expected, atol=1e-6, rtol=1e-6)


class TestSamples:
    @pytest.mark.parametrize("size", [1, 2, 16])
    def test_colors_and_gradients_are_those_of_the_loss(self, size):
        generator = torch.Generator().manual_seed(2)
        image = torch.rand(size, size, 3, generator=generator, dtype=torch.float64)
        # Some within half a pixel of the border and beyond it, where the border pixels extend outwards.
        pixels = (size + 4) * torch.rand(200, 2, generator=generator, dtype=torch.float64) - 2
        pixels.requires_grad_()
        expected = losses.sample(image.permute(2, 0, 1)[None], pixels[None])[0].T
        found = sample(image, pixels.detach())
        torch.testing.assert_close(found.colors, expected)
        for channel in range(3):
            (gradient,) = torch.autograd.grad(expected[:, channel].sum(), pixels, retain_graph=True)
            torch.testing.assert_close(found.gradients[:, channel], gradient)

    def test_by_hand(self):
        ramp = torch.arange(4.0)[None, :, None].expand(4, 4, 3).contiguous()
        found = sample(ramp, torch.tensor([[2.0, 1.0]]))  # between the centres of columns 1 and 2
        assert found.colors.tolist() == [[1.5] * 3]
        assert found.gradients.tolist() == [[[1.0, 0.0]] * 3]


class TestRing:
    def test_sums_of_face_normals_change_as_the_edges_say(self):
        face = SampledFace(everywhere(), CAMERA)
        model, ring = face.decode.model, face.ring

        def sums(points: torch.Tensor) -> torch.Tensor:
            a, b, c = (points[corner] for corner in model.faces.unbind(1))
            normals = torch.linalg.cross(b - a, c - a)
            return sum(torch.zeros_like(points).index_add(0, corner, normals) for corner in model.faces.unbind(1))

        points = model.mean_shape
        direction = torch.randn(points.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        _, expected = torch.autograd.functional.jvp(sums, points, direction)
        change = torch.linalg.cross(ring.edges(points), direction[ring.neighbours])
        found = torch.zeros_like(points).index_add(0, ring.owners, change)
        torch.testing.assert_close(found, expected[face.vertices])

    def test_every_vertex_comes_first_in_its_own_ring(self, tiny_model):
        face = SampledFace(tiny_model, CAMERA, 5)
        ring = face.ring
        assert torch.equal(ring.neighbours[ring.starts[:-1]], face.vertices)
        assert torch.equal(ring.owners[ring.starts[:-1]], torch.arange(len(face.vertices)))
        # Inside a grid of triangles a vertex has six neighbours.
        assert (ring.starts.diff() == 7).all()
        assert int(ring.starts[-1]) == len(ring.neighbours)


@pytest.mark.parametrize("angle", [0.0, 1e-5, 0.3, 2.5])
def test_right_jacobian_turns_points(angle):
    rotation = angle * torch.tensor([0.6, -0.48, 0.64], dtype=torch.float64)
    point, step = torch.tensor([3.0, -1.0, 2.0], dtype=torch.float64), 1e-6
    turned = lambda r: torch.from_numpy(Rotation.from_rotvec(r.numpy()).inv().apply(point.numpy()))  # noqa: E731
    jacobian = right_jacobian(rotation)
    for axis in range(3):
        nudge = step * torch.eye(3, dtype=torch.float64)[axis]
        expected = (turned(rotation + nudge) - turned(rotation - nudge)) / (2 * step)
        found = torch.linalg.cross(turned(rotation), jacobian[:, axis])
        torch.testing.assert_close(found, expected, atol=1e-8, rtol=0)
