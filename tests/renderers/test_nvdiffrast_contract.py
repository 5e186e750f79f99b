"""The nvdiffrast backend on the CPU, with a reference of nvdiffrast's contract, and on a GPU with the real one."""

from __future__ import annotations

import nvdiffrast_reference
import pytest
import torch
from tiny_model import make_code, make_tiny_model

from mofa3d import Camera, Decoder, losses
from mofa3d.renderers import make_renderer
from mofa3d.renderers.cpu_rasterizer import rasterize_scene
from mofa3d.renderers.interpolate import interpolate
from mofa3d.renderers.nvdiffrast_rasterizer import (
    NvdiffrastBackend,
    Operations,
    clip_space,
    depth_of,
    normalized_depth,
)
from mofa3d.renderers.rasterized import RasterizedRenderer
from mofa3d.scene import Scene

SIZE = 40
CPU = torch.device("cpu")
both_types = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


@pytest.fixture
def backend() -> NvdiffrastBackend:
    """The backend with the reference in the place of nvdiffrast."""
    operations = Operations(CPU)
    operations.functions, operations.context = nvdiffrast_reference, "context"
    return NvdiffrastBackend({CPU: operations})


def make_scene(dtype=torch.float32, batch: int = 2) -> Scene:
    return Decoder(make_tiny_model(dtype=dtype), Camera(SIZE))(make_code(batch, dtype=dtype))


def renderer(backend: NvdiffrastBackend) -> RasterizedRenderer:
    return RasterizedRenderer(backend.rasterize, backend.antialias, interpolate=backend.interpolate)


class TestReference:
    def test_known_triangle(self):
        """A triangle over the upper left quarter of the image; its corners have unequal w."""
        corners = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
        w = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
        pos = torch.cat([corners * w[:, None], 0.5 * w[:, None], w[:, None]], dim=1)[None]
        raster, _ = nvdiffrast_reference.rasterize(None, pos, torch.tensor([[0, 1, 2]], dtype=torch.int32), (4, 4))
        covered = raster[0, ..., 3]
        assert covered.int().tolist() == [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]]
        # At row 1, column 0 the linear weights are (1/2, 3/8, 1/8); divided by w and normalised:
        expected = torch.tensor([1 / 2, 3 / 16, 1 / 32], dtype=torch.float64)
        expected = expected / expected.sum()
        torch.testing.assert_close(raster[0, 1, 0, :3], torch.tensor([*expected[:2].tolist(), 0.5]).double())
        assert (raster[0, 3, 3] == 0).all()

    def test_nearer_triangle_wins(self):
        corners = torch.tensor([[-1.0, -1.0], [-1.0, 3.0], [3.0, -1.0]]).repeat(2, 1)
        z = torch.tensor([0.5] * 3 + [-0.5] * 3)[:, None]
        pos = torch.cat([corners, z, torch.ones(6, 1)], dim=1)[None]
        triangles = torch.arange(6, dtype=torch.int32).view(2, 3)
        raster, _ = nvdiffrast_reference.rasterize(None, pos, triangles, (2, 2))
        assert (raster[..., 3] == 2).all()
        assert (raster[..., 2] == -0.5).all()


class TestClipSpace:
    @both_types
    def test_perspective_division_gives_pixels_and_depth(self, dtype):
        scene = make_scene(dtype)
        clip = clip_space(scene)
        assert clip.dtype == dtype
        divided = clip[..., :2] / clip[..., 3:]
        torch.testing.assert_close((divided + 1) * SIZE / 2, scene.pixels)
        torch.testing.assert_close(clip[..., 3], scene.depth)
        torch.testing.assert_close(depth_of(clip[..., 2] / clip[..., 3], 1000.0), scene.depth)

    def test_clipping_planes(self):
        z = normalized_depth(torch.tensor([200.0, 1000.0, 5000.0], dtype=torch.float64), 1000.0)
        assert z.tolist() == pytest.approx([-1.0, 2 / 3, 1.0])


class TestBackend:
    @both_types
    def test_fragments_equal_those_of_the_cpu_rasterizer(self, backend, dtype):
        scene = make_scene(dtype)
        ours, expected = backend.rasterize(scene), rasterize_scene(scene)
        covered = (ours.pix_to_face >= 0) | (expected.pix_to_face >= 0)
        same = (ours.pix_to_face == expected.pix_to_face) & covered
        assert 0.2 < covered.double().mean() < 0.9
        assert same.sum() / covered.sum() >= 0.99
        # Packed: the second image's faces follow the first one's.
        count = len(scene.faces)
        assert 0 <= ours.pix_to_face[0][covered[0]].max() < count <= ours.pix_to_face[1].max() < 2 * count
        torch.testing.assert_close(ours.bary_coords[same], expected.bary_coords[same], atol=1e-4, rtol=0)
        torch.testing.assert_close(ours.zbuf[same], expected.zbuf[same], atol=0.1, rtol=0)
        empty = ours.pix_to_face < 0
        for value in (ours.zbuf, ours.dists, ours.bary_coords):
            assert value.dtype == dtype
            assert (value[empty] == -1).all()

    def test_faces_seen_from_behind_are_empty(self, backend):
        code = make_code(1, dtype=torch.float32)
        turned = code.replace(rotation=torch.tensor([[0.0, torch.pi, 0.0]]))
        scene = Decoder(make_tiny_model(), Camera(SIZE))(turned)
        raster, _ = nvdiffrast_reference.rasterize(None, clip_space(scene), scene.faces.int(), (SIZE, SIZE))
        assert (raster[..., 3] > 0).float().mean() > 0.2
        assert (backend.rasterize(scene).pix_to_face >= 0).float().mean() < 0.02

    def test_interpolates_as_our_own_function(self, backend):
        scene = make_scene(torch.float64)
        fragments = backend.rasterize(scene)
        attributes = torch.randn(2, scene.vertices.shape[1], 5, generator=torch.Generator().manual_seed(0)).double()
        values = backend.interpolate(fragments, attributes, scene.faces)
        expected = interpolate(fragments.pix_to_face, fragments.bary_coords, attributes, scene.faces)
        torch.testing.assert_close(values, expected, atol=1e-9, rtol=0)
        assert (values[fragments.pix_to_face < 0] == 0).all()

    @both_types
    def test_image_equals_the_cpu_renderer(self, backend, dtype):
        scene = make_scene(dtype)
        ours, expected = renderer(backend)(scene), make_renderer("cpu", antialias=False)(scene)
        assert ours.image.dtype == dtype
        same = ours.image[:, 3] == expected.image[:, 3]
        assert same.double().mean() > 0.998
        difference = (ours.image - expected.image).abs().amax(dim=1)[same]
        assert difference.quantile(0.99) < 1e-4
        assert difference.max() < 1e-2
        assert torch.equal(ours.positions, expected.positions)
        assert ((ours.weights > 0) == (expected.weights > 0)).double().mean() > 0.998
        torch.testing.assert_close(ours.weights.sum(1), expected.weights.sum(1))

    def test_gradient_of_the_loss_equals_the_cpu_renderers(self, backend):
        photo = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)).double()
        code, decode = make_code(2), Decoder(make_tiny_model(dtype=torch.float64), Camera(SIZE))
        gradients = []
        for render in (renderer(backend), make_renderer("cpu", antialias=False)):
            vector = code.to_vector().requires_grad_()
            loss = losses.photometric(render(decode(code.from_vector(vector, code.sizes))), photo)
            gradients.append(torch.autograd.grad(loss.sum(), vector)[0])
        ours, expected = gradients
        assert expected.norm() > 1e-3
        assert (ours - expected).norm() / expected.norm() < 0.02

    def test_antialias_gets_the_raster_that_rasterize_gave(self, backend, monkeypatch):
        """Fragments lose nothing that nvdiffrast needs again, but for faces seen from behind."""
        scene, seen = make_scene(torch.float64), {}

        def antialias(color, rast, pos, tri):
            seen.update(rast=rast, pos=pos, tri=tri)
            return color

        monkeypatch.setattr(nvdiffrast_reference, "antialias", antialias)
        image = renderer(backend)(scene).image
        raster, _ = nvdiffrast_reference.rasterize(None, clip_space(scene), scene.faces.int(), (SIZE, SIZE))
        covered = image[:, 3] == 1
        torch.testing.assert_close(seen["rast"][covered], raster[covered])
        assert (seen["rast"][..., 3][~covered] == 0).all()
        assert torch.equal(seen["pos"], clip_space(scene))
        assert torch.equal(seen["tri"], scene.faces.int())


class TestErrors:
    def test_scene_on_the_cpu(self):
        with pytest.raises(ValueError, match=r"works on NVIDIA GPUs only, but the scene is on cpu; .*renderer \"cpu\""):
            NvdiffrastBackend().rasterize(make_scene())

    def test_missing_gpu(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(ValueError, match=r"needs an NVIDIA GPU, and PyTorch sees none; use the renderer \"cpu\""):
            make_renderer("nvdiffrast")


@pytest.mark.cuda
def test_real_nvdiffrast_equals_the_cpu_renderer():
    pytest.importorskip("nvdiffrast.torch")
    if not torch.cuda.is_available():
        pytest.skip("there is no NVIDIA GPU")
    decode, code = Decoder(make_tiny_model(), Camera(SIZE)), make_code(2, dtype=torch.float32)
    photo = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    images, gradients = {}, {}
    for name, device, antialias in [("cpu", "cpu", False), ("nvdiffrast", "cuda", False), ("smooth", "cuda", True)]:
        vector = code.to_vector().to(device).requires_grad_()
        scene = decode.to(device)(code.from_vector(vector, code.sizes))
        rendering = make_renderer("cpu" if name == "cpu" else "nvdiffrast", antialias=antialias)(scene)
        loss = losses.photometric(rendering, photo.to(device)).sum()
        images[name], gradients[name] = rendering.image.detach().cpu(), torch.autograd.grad(loss, vector)[0].cpu()
    same = images["nvdiffrast"][:, 3] == images["cpu"][:, 3]
    assert same.float().mean() > 0.99
    difference = (images["nvdiffrast"] - images["cpu"]).abs().amax(dim=1)[same]
    assert difference.quantile(0.99) < 1e-3
    assert (gradients["nvdiffrast"] - gradients["cpu"]).norm() / gradients["cpu"].norm() < 0.05
    between = (images["smooth"][:, 3] > 0) & (images["smooth"][:, 3] < 1)
    assert between.sum() > 20
    assert torch.isfinite(gradients["smooth"]).all()
