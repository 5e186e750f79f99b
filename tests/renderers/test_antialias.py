from __future__ import annotations

import pytest
import torch
from tiny_model import make_code, make_tiny_model

from mofa3d import Camera, Decoder
from mofa3d.renderers.antialias import SilhouetteAntialias, antialias, find_crossings, find_edges
from mofa3d.renderers.cpu_rasterizer import rasterize, rasterize_scene

pytestmark = pytest.mark.processor

SIZE = 24
FAN = torch.tensor([[0, 1, 2], [0, 2, 3]])  # of a quadrilateral


def polygon(*corners: tuple[float, float]) -> torch.Tensor:
    """Corners (1, N, 2) in pixels; counter-clockwise for a viewer of the image, in which y points down."""
    return torch.tensor(corners, dtype=torch.float64)[None]


def rectangle(left: float, top: float, right: float, bottom: float) -> torch.Tensor:
    return polygon((left, top), (left, bottom), (right, bottom), (right, top))


def fan(pixels: torch.Tensor) -> torch.Tensor:
    return torch.tensor([[0, i, i + 1] for i in range(1, pixels.shape[1] - 1)])


def coverage(pixels: torch.Tensor, faces: torch.Tensor | None = None) -> torch.Tensor:
    """Antialiased alpha (H, W) of a flat surface of one image."""
    faces = fan(pixels) if faces is None else faces
    depth = torch.full(pixels.shape[:2], 1000.0, dtype=torch.float64)
    fragments = rasterize(pixels, depth, faces, SIZE)
    alpha = (fragments.pix_to_face >= 0).to(pixels.dtype)
    crossings = find_crossings(pixels, depth, find_edges(faces), fragments.pix_to_face, fragments.zbuf)
    return antialias(alpha, pixels, crossings)[0, ..., 0]


def area(pixels: torch.Tensor) -> torch.Tensor:
    x, y = pixels[0].unbind(1)
    return 0.5 * (x * y.roll(-1) - y * x.roll(-1)).sum().abs()


def edge_set(edges) -> set[tuple]:
    """Edges without the order in which they are listed: {(low vertex, high vertex, {opposite vertices})}."""
    pairs = zip(edges.vertices.tolist(), edges.opposite.tolist(), strict=True)
    return {(*sorted(ends), frozenset(opposite)) for ends, opposite in pairs}


class TestFindEdges:
    def test_two_triangles(self):
        edges = find_edges(FAN)
        expected = {(0, 1, 2, -1), (1, 2, 0, -1), (0, 2, 1, 3), (2, 3, 0, -1), (0, 3, 2, -1)}
        assert edge_set(edges) == {(a, b, frozenset((c, d))) for a, b, c, d in expected}
        assert len(edges.vertices) == 5

    def test_ends_follow_the_first_face(self):
        """The order of the ends tells on which side of the edge the first face lies."""
        edges = find_edges(FAN)
        runs = {tuple(face[[i, (i + 1) % 3]].tolist()): int(face[i - 1]) for face in FAN for i in range(3)}
        for ends, (first, _) in zip(edges.vertices.tolist(), edges.opposite.tolist(), strict=True):
            assert runs[tuple(ends)] == first

    def test_closed_surface_has_two_faces_at_each_edge(self):
        tetrahedron = torch.tensor([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])
        edges = find_edges(tetrahedron)
        assert len(edges.vertices) == 6
        assert {(a, b) for a, b, _ in edge_set(edges)} == {(a, b) for a in range(4) for b in range(a + 1, 4)}
        for a, b, opposite in edge_set(edges):
            assert opposite == {0, 1, 2, 3} - {a, b}

    def test_edge_of_three_faces_is_listed_twice(self):
        edges = find_edges(torch.tensor([[0, 1, 2], [0, 1, 3], [0, 1, 4]]))
        shared = (edges.vertices == [0, 1]).all(axis=1)
        assert edges.opposite[shared].tolist() == [[2, 3], [4, -1]]

    def test_no_faces(self):
        edges = find_edges(FAN[:0])
        assert edges.vertices.shape == edges.opposite.shape == (0, 2)


class TestCoverage:
    @pytest.mark.parametrize("edge", [10.3, 10.5, 10.7, 11.0, 9.51])
    @pytest.mark.parametrize("side", ["left", "top", "right", "bottom"])
    def test_boundary_pixel_of_a_half_plane_has_the_covered_area(self, edge, side):
        far = SIZE + 30.0
        corners = {
            "right": (-30.0, -30.0, edge, far),
            "left": (edge, -30.0, far, far),
            "bottom": (-30.0, -30.0, far, edge),
            "top": (-30.0, edge, far, far),
        }
        alpha = coverage(rectangle(*corners[side]))
        columns = torch.arange(SIZE, dtype=torch.float64)
        covered = (edge - columns).clamp(0, 1)  # of a pixel in each column, when the surface ends at `edge`
        if side in ("left", "top"):
            covered = 1 - covered
        expected = covered.expand(SIZE, SIZE) if side in ("left", "right") else covered[:, None].expand(SIZE, SIZE)
        torch.testing.assert_close(alpha, expected, atol=1e-12, rtol=0)

    def test_total_follows_a_straight_edge_exactly(self):
        for edge in torch.linspace(6.0, 15.0, 40).tolist():
            total = coverage(rectangle(4.25, -9.0, edge, SIZE + 9.0)).sum()
            assert float(total) == pytest.approx(SIZE * (edge - 4.25), abs=1e-9)

    def test_total_changes_by_the_area_that_a_slanted_edge_sweeps(self):
        totals = []
        for shift in (0.0, 0.05, 0.1):  # no pixel centre changes sides
            totals.append(coverage(polygon((3, 4), (3, 20), (15.2 + shift, 20), (9.2 + shift, 4))).sum())
        assert float(totals[1] - totals[0]) == pytest.approx(16 * 0.05, abs=1e-9)
        assert float(totals[2] - totals[1]) == pytest.approx(16 * 0.05, abs=1e-9)

    @pytest.mark.parametrize("seed", range(6))
    def test_total_of_any_polygon_is_about_its_area(self, seed):
        pixels = random_polygon(seed)
        assert float(coverage(pixels).sum()) == pytest.approx(float(area(pixels)), rel=0.02)

    def test_subdivision_of_a_surface_does_not_matter(self):
        """Edges inside a surface are no silhouettes."""
        pixels = random_polygon(3)
        middle = pixels.mean(dim=1, keepdim=True)
        corners = pixels.shape[1]
        faces = torch.tensor([[i, (i + 1) % corners, corners] for i in range(corners)])
        torch.testing.assert_close(coverage(torch.cat([pixels, middle], dim=1), faces), coverage(pixels))


def random_polygon(seed: int) -> torch.Tensor:
    """A convex polygon inside the image, counter-clockwise for a viewer."""
    generator = torch.Generator().manual_seed(seed)
    angle = 2 * torch.pi * (torch.arange(7) + 0.6 * torch.rand(7, generator=generator)).double() / 7
    centre = SIZE / 2 + torch.rand(2, generator=generator, dtype=torch.float64)
    return (centre + 9.0 * torch.stack([angle.cos(), -angle.sin()], dim=-1))[None]


def differences(function, pixels: torch.Tensor, step: float) -> torch.Tensor:
    """Central differences of a scalar function of pixels."""
    gradient = torch.zeros_like(pixels)
    for index in range(pixels.numel()):
        offset = torch.zeros_like(pixels)
        offset.view(-1)[index] = step
        gradient.view(-1)[index] = (function(pixels + offset) - function(pixels - offset)) / (2 * step)
    return gradient


def gradient_of_total(pixels: torch.Tensor) -> torch.Tensor:
    leaf = pixels.clone().requires_grad_()
    return torch.autograd.grad(coverage(leaf).sum(), leaf)[0]


class TestGradient:
    def test_of_a_rectangle_equals_differences(self):
        pixels = rectangle(4.3, 5.2, 17.8, 19.4)
        expected = differences(lambda p: coverage(p).sum(), pixels, 1e-5)
        assert (expected.abs() > 6).all()  # every corner carries half of two sides
        torch.testing.assert_close(gradient_of_total(pixels), expected, atol=1e-4, rtol=0)

    @pytest.mark.parametrize("seed", range(4))
    def test_of_a_polygon_is_that_of_its_area(self, seed):
        """Up to the discretisation: a handful of crossings stands for the length of each side."""
        pixels = random_polygon(seed)
        ours, exact = gradient_of_total(pixels), differences(area, pixels, 1e-4)
        assert float((ours - exact).norm() / exact.norm()) < 0.06
        # A step of half a pixel averages over centres that change sides, where the total has kinks.
        measured = differences(lambda p: coverage(p).sum(), pixels, 0.5)
        assert float((ours - measured).norm() / measured.norm()) < 0.06

    def test_of_colors(self):
        pixels = random_polygon(1)
        depth = torch.full(pixels.shape[:2], 1000.0, dtype=torch.float64)
        fragments = rasterize(pixels, depth, fan(pixels), 10)
        crossings = find_crossings(pixels, depth, find_edges(fan(pixels)), fragments.pix_to_face, fragments.zbuf)
        assert len(crossings.inside) > 10
        image = torch.rand(1, 10, 10, 2, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda image: antialias(image, pixels, crossings), image)


class TestInteriorSilhouettes:
    """A small near rectangle in front of one that fills the image."""

    near, far = rectangle(5.0, 4.0, 10.3, 20.0), rectangle(-5.0, -5.0, SIZE + 5.0, SIZE + 5.0)

    def find(self, near: torch.Tensor, near_depth: float, far_depth: float = 1000.0):
        pixels = torch.cat([near, self.far], dim=1)
        depth = torch.tensor([[near_depth] * 4 + [far_depth] * 4], dtype=torch.float64)
        faces = torch.cat([FAN, FAN + 4])
        fragments = rasterize(pixels, depth, faces, SIZE)
        crossings = find_crossings(pixels, depth, find_edges(faces), fragments.pix_to_face, fragments.zbuf)
        colors = torch.tensor([[1.0, 0.0], [0.2, 0.6]], dtype=torch.float64)  # near, far
        image = colors[torch.where(fragments.pix_to_face[..., 0] < 2, 0, 1)]
        return image, antialias(image, pixels, crossings), crossings

    def test_near_color_is_mixed_with_the_far_one(self):
        _, image, _ = self.find(self.near, 900.0)
        row = image[0, 12]
        near, far = torch.tensor([[1.0, 0.0], [0.2, 0.6]], dtype=torch.float64)
        torch.testing.assert_close(row[9], near)
        torch.testing.assert_close(row[10], 0.3 * near + 0.7 * far)
        torch.testing.assert_close(row[11], far)
        torch.testing.assert_close(row[[4, 5]], torch.stack([far, near]))  # the left edge lies between two pixels
        assert torch.equal(image[0, 0], far.expand(SIZE, 2))

    def test_gradient_moves_the_near_edge(self):
        near = self.near.clone().requires_grad_()
        _, image, _ = self.find(near, 900.0)
        (gradient,) = torch.autograd.grad(image[..., 0].sum(), near)
        # 16 rows change by (1 - 0.2) per pixel, half of it for each end of the right edge.
        torch.testing.assert_close(gradient[0, 2:, 0], torch.full((2,), 0.5 * 16 * 0.8, dtype=torch.float64))

    def test_hidden_edge_is_not_blended(self):
        plain, image, crossings = self.find(self.near, 1100.0)
        assert len(crossings.inside) == 0
        assert torch.equal(image, plain)

    def test_edge_behind_the_far_surface_does_not_count(self):
        """It would reach farther out than the near edge if one could see it."""
        pixels = torch.cat([self.near, self.far, rectangle(5.0, 4.0, 10.45, 20.0)], dim=1)
        depth = torch.tensor([[900.0] * 4 + [1000.0] * 4 + [1100.0] * 4], dtype=torch.float64)
        faces = torch.cat([FAN, FAN + 4, FAN + 8])
        fragments = rasterize(pixels, depth, faces, SIZE)
        crossings = find_crossings(pixels, depth, find_edges(faces), fragments.pix_to_face, fragments.zbuf)
        _, _, expected = self.find(self.near, 900.0)
        assert len(expected.inside) > 30
        for ours, theirs in zip(crossings, expected, strict=True):
            assert torch.equal(ours, theirs)

    def test_outermost_of_two_edges_wins(self):
        """Two sheets end between the same two pixel centres; the one that reaches farther is what one sees."""
        pixels = torch.cat([rectangle(-5.0, -5.0, 9.8, 40.0), rectangle(-5.0, -5.0, 10.3, 40.0)], dim=1)
        faces = torch.cat([FAN, FAN + 4])
        alpha = coverage(pixels, faces)
        torch.testing.assert_close(alpha[:, 10], torch.full((SIZE,), 0.3, dtype=torch.float64))
        torch.testing.assert_close(alpha, coverage(pixels[:, 4:]))


class TestNothingToBlend:
    def crossings(self, pixels, faces=FAN, depth: float = 1000.0, cull: bool = False):
        depth = torch.full(pixels.shape[:2], depth, dtype=torch.float64)
        fragments = rasterize(pixels, depth, faces, SIZE, cull_backfaces=cull)
        return find_crossings(pixels, depth, find_edges(faces), fragments.pix_to_face, fragments.zbuf, cull)

    def test_only_an_edge_inside_the_image_is_crossed(self):
        whole = rectangle(2.3, 2.3, 20.3, 20.3)
        assert len(self.crossings(whole).inside) == 4 * 18
        assert len(self.crossings(whole, FAN[:0]).inside) == 0
        assert len(self.crossings(whole[:0]).inside) == 0
        assert len(self.crossings(whole, depth=-1.0).inside) == 0
        assert len(self.crossings(whole + 100).inside) == 0
        assert len(self.crossings(rectangle(-9.0, -9.0, 99.0, 99.0)).inside) == 0

    def test_no_image_stays_no_image(self):
        empty = rectangle(2.3, 2.3, 20.3, 20.3)[:0]
        image = torch.zeros(0, SIZE, SIZE, 3, dtype=torch.float64)
        assert antialias(image, empty, self.crossings(empty)).shape == image.shape

    def test_culled_surface_has_no_silhouette(self):
        whole = rectangle(2.3, 2.3, 20.3, 20.3)
        assert len(self.crossings(whole, FAN.flip(1)).inside) == 4 * 18
        assert len(self.crossings(whole, FAN.flip(1), cull=True).inside) == 0
        assert len(self.crossings(whole, cull=True).inside) == 4 * 18

    def test_edge_of_a_culled_surface_does_not_count(self):
        """Seen from behind and left out, the second surface would reach a little farther."""
        pixels = torch.cat([rectangle(2.3, -9.0, 10.3, 99.0), rectangle(2.3, -9.0, 10.45, 99.0)], dim=1)
        faces = torch.cat([FAN, FAN.flip(1) + 4])
        assert (self.crossings(pixels, faces).start >= 4).any()
        culled = self.crossings(pixels, faces, cull=True)
        assert len(culled.inside) == 2 * SIZE
        assert (culled.start < 4).all()


def test_images_of_a_batch_are_blended_independently():
    batch = torch.cat([random_polygon(0), random_polygon(1), random_polygon(2)])
    depth, faces = torch.full(batch.shape[:2], 1000.0, dtype=torch.float64), fan(batch)
    fragments = rasterize(batch, depth, faces, SIZE)
    crossings = find_crossings(batch, depth, find_edges(faces), fragments.pix_to_face, fragments.zbuf)
    image = antialias((fragments.pix_to_face >= 0).double(), batch, crossings)
    for i in range(3):
        torch.testing.assert_close(image[i, ..., 0], coverage(batch[i : i + 1]))
    assert not torch.equal(image[0], image[1])


class TestSilhouetteAntialias:
    def test_equals_a_finer_image_averaged(self):
        """Alpha of a face at 32 px against that at 256 px without antialiasing, averaged over 8 x 8 pixels."""
        code = make_code(2)
        coarse, fine = (Decoder(make_tiny_model(dtype=torch.float64), Camera(size))(code) for size in (32, 256))
        fragments = rasterize_scene(coarse)
        hard = (fragments.pix_to_face >= 0).double()
        alpha = SilhouetteAntialias()(hard, fragments, coarse)[..., 0]
        exact = (rasterize_scene(fine).pix_to_face[..., 0] >= 0).double()
        exact = torch.nn.functional.avg_pool2d(exact, 8)
        error, error_without = (alpha - exact).abs().sum(), (hard[..., 0] - exact).abs().sum()
        assert error < 0.35 * error_without
        torch.testing.assert_close(alpha.sum(dim=(1, 2)), exact.sum(dim=(1, 2)), rtol=5e-3, atol=0)

    def test_follows_a_change_of_triangulation(self):
        smooth = SilhouetteAntialias()
        for rings in (8, 12):
            scene = Decoder(make_tiny_model(rings, dtype=torch.float64), Camera(SIZE))(make_code(1))
            fragments = rasterize_scene(scene)
            hard = (fragments.pix_to_face >= 0).double()
            expected = SilhouetteAntialias()(hard, fragments, scene)
            assert torch.equal(smooth(hard, fragments, scene), expected)
            assert not torch.equal(expected, hard)
