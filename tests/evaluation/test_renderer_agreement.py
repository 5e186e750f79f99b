"""Measures of agreement say what they claim on renderers whose disagreement is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_model import make_code, make_tiny_model

from mofa3d import Camera, Decoder, losses
from mofa3d.evaluation import renderer_agreement
from mofa3d.evaluation.renderer_agreement import (
    CodedFaces,
    derivative_agreement,
    form,
    gradient_agreement,
    image_agreement,
    interior,
    median_time,
    median_times,
    vertex_agreement,
    visible_vertices,
)
from mofa3d.renderers import make_renderer
from mofa3d.renderers.cpu_rasterizer import rasterize_scene

SIZE = 64


@pytest.fixture(scope="module")
def faces() -> CodedFaces:
    decode = Decoder(make_tiny_model(24, dtype=torch.float64), Camera(SIZE))
    ramp = torch.linspace(0, 1, SIZE, dtype=torch.float64).expand(2, 3, SIZE, SIZE)
    return CodedFaces(decode, make_code(2, dtype=torch.float64), ramp)


def square(alpha: float = 1.0, color: float = 0.5) -> torch.Tensor:
    """RGBA of a square of 8 × 8 pixels in the middle of 16 × 16."""
    image = torch.zeros(1, 4, 16, 16)
    image[:, :3, 4:12, 4:12], image[:, 3, 4:12, 4:12] = color, alpha
    return image


def test_form_gives_image_and_gradient_of_the_loss(faces):
    render = make_renderer("cpu")
    formed = form(render, faces)
    scene = faces.decode(faces.codes)
    torch.testing.assert_close(formed.image, render(scene).image)
    light = faces.codes.illumination.clone().requires_grad_()
    relit = faces.decode(faces.codes.replace(illumination=light))
    losses.photometric(render(relit), faces.photographs).sum().backward()
    where = faces.codes.sizes.slices["illumination"]
    torch.testing.assert_close(formed.gradient[:, where], light.grad.flatten(1))
    assert form(make_renderer("vertex"), faces).image is None


class TestImages:
    def test_color_differences_are_those_of_the_worst_channel_inside(self):
        image = square()
        image[:, 1, 8, 8] += 10 / 255
        image[:, 0, 8, 8] -= 4 / 255
        image[:, :3, 4] = 1.0  # at the border, which does not count
        found = image_agreement(image, square())
        assert found["max"] == pytest.approx(10, abs=1e-3)
        assert found["mean"] == pytest.approx(10 / 16, abs=1e-3)  # two pixels off the border, 4 × 4 are left
        assert found["median"] == 0
        assert found["silhouette overlap"] == 1

    def test_silhouettes_overlap_by_intersection_over_union(self):
        assert image_agreement(square().roll(2, dims=3), square())["silhouette overlap"] == pytest.approx(6 / 10)
        assert image_agreement(square(alpha=0.8), square())["silhouette overlap"] == pytest.approx(0.8)

    def test_interior_keeps_a_margin(self):
        inside = interior(square(), 3)
        assert inside.sum() == 4
        assert inside[0, 7:9, 7:9].all()


class TestVertices:
    def test_colors_equal_the_image_at_visible_vertices_within_interpolation(self, faces):
        scene = faces.decode(faces.codes)
        image = make_renderer("cpu", antialias=False)(scene).image
        depth = rasterize_scene(scene).zbuf[..., 0]
        assert vertex_agreement(scene, image, depth)["mean"] < 2
        brighter = replace(scene, colors=scene.colors + 10 / 255)
        shifted = vertex_agreement(brighter, image, depth)
        assert 8 < shifted["median"] < 12

    def test_hidden_vertices_do_not_count(self, faces):
        scene = faces.decode(faces.codes)
        depth = rasterize_scene(scene).zbuf[..., 0]
        shown = visible_vertices(scene, depth)
        allowed = scene.frontal & scene.front_facing
        assert 0.8 < float((shown & allowed).sum() / allowed.sum()) <= 1  # all but some at the silhouette
        assert not (shown & ~allowed).any()
        assert not visible_vertices(scene, depth - 30.0).any()  # a surface 30 mm in front of all vertices
        assert not visible_vertices(scene, torch.full_like(depth, -1.0)).any()


class TestGradients:
    def test_cosine_is_per_block_and_the_least_of_all_faces(self, faces):
        gradient, sizes = form(make_renderer("cpu"), faces).gradient, faces.codes.sizes
        other, slices = 3 * gradient, sizes.slices
        other[1, slices["shape"]] *= -1
        other[0, slices["rotation"]] = gradient[0, slices["rotation"]].roll(1)
        cosines = gradient_agreement(other, gradient, sizes)
        assert cosines["shape"] == pytest.approx(-1)
        first = gradient[0, slices["rotation"]]
        expected = float(first @ first.roll(1) / first.square().sum())
        assert cosines["rotation"] == pytest.approx(expected)
        assert all(cosines[name] == pytest.approx(1) for name in ("expression", "reflectance", "illumination"))

    @pytest.mark.parametrize("antialias", [True, False])
    def test_derivatives_of_the_cpu_renderer_are_those_of_its_images(self, faces, antialias):
        ratios = derivative_agreement(make_renderer("cpu", antialias=antialias), faces[:1])
        silhouette = ratios.pop("silhouette")
        assert silhouette == (pytest.approx(1, abs=0.1) if antialias else 0.0)
        assert set(ratios) == set(faces.codes.sizes.slices)
        assert all(ratio == pytest.approx(1, abs=0.05) for ratio in ratios.values()), ratios

    def test_a_wrong_derivative_is_seen(self, faces):
        plain = make_renderer("cpu")

        class Halved(torch.autograd.Function):
            @staticmethod
            def forward(ctx, image):
                return image.clone()

            @staticmethod
            def backward(ctx, gradient):
                return gradient / 2

        def render(scene):
            rendering = plain(scene)
            return replace(rendering, image=Halved.apply(rendering.image))

        ratios, expected = (derivative_agreement(renderer, faces[:1]) for renderer in (render, plain))
        for name, ratio in ratios.items():
            assert ratio == pytest.approx(expected[name] / 2), name


class TestTimes:
    """Clocks that tick as told: real ones depend on what else the machine does."""

    @pytest.fixture
    def durations(self, monkeypatch):
        """Set how long each piece of work takes."""
        clock = {"now": 0.0}
        monkeypatch.setattr(renderer_agreement.time, "perf_counter", lambda: clock["now"])

        def work_of(*seconds: float):
            left = iter(seconds)

            def work():
                clock["now"] += next(left)

            return work

        return work_of

    def test_median_of_at_least_three_after_a_first_run(self, durations):
        assert median_time(durations(9.0, 1.0, 6.0, 2.0), at_least=0.0) == 2.0

    def test_quick_work_is_repeated_for_a_second(self, durations):
        assert median_time(durations(0.5, 0.25, 0.125, 0.25, 0.25, 0.125)) == 0.25

    def test_slow_work_is_not_repeated(self, durations):
        assert median_time(durations(1.0, 11.0)) == 11.0

    def test_milliseconds_are_per_face(self, faces, monkeypatch):
        def half_a_second(work):
            work()
            return 0.5

        monkeypatch.setattr(renderer_agreement, "median_time", half_a_second)
        assert median_times(make_renderer("cpu"), faces) == {"forward": 250.0, "forward and backward": 250.0}
