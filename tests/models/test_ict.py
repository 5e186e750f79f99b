"""ICT-FaceKit: the real files where they are, and folders written here in their format."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from face_files import make_face, make_reference

from mofa3d.losses import LANDMARKS_46
from mofa3d.models import load_model
from mofa3d.models.ict import PARTS, VERTEX_COUNT

REAL = Path(__file__).parents[3] / "shared/models/ict_face_kit"


@pytest.fixture(scope="module")
def real():
    if not REAL.is_dir():
        pytest.skip(f"there is no {REAL}")
    return REAL


@pytest.fixture(scope="module")
def model(real, default_model):
    return load_model("ict", path=real)


class TestRealFiles:
    def test_identities_and_expressions_that_exist(self, model, default_model):
        assert model.sizes.shape == 10
        assert model.sizes.expression == 8
        assert model.sizes.reflectance == default_model.sizes.reflectance
        assert len(model.mean_shape) == sum(map(len, PARTS))
        assert model.faces.unique().numel() == len(model.mean_shape)
        assert model.uv.shape == (len(model.mean_shape), 2)
        assert model.name == "ict"

    def test_mean_face_has_size_and_place_of_a_face(self, model):
        points = model.landmarks(model.mean_shape[None])[0]
        assert 120 < float(points[16, 0] - points[0, 0]) < 170
        assert 54 < float(points[42:48, 0].mean() - points[36:42, 0].mean()) < 72
        torch.testing.assert_close(points[27:].mean(dim=0), torch.tensor([0.0, 0.0, 47.5]), atol=1e-3, rtol=0)
        assert abs(float(points[8, 0])) < 0.1
        assert int(points[:, 1].argmin()) == 8
        assert int(points[:, 2].argmax()) == 30
        assert bool((points[17:27, 0].diff() > 0).all())
        assert bool((points[48:55, 0].diff() > 0).all())
        for upper, lower in ((37, 41), (44, 46), (51, 57), (62, 66)):
            assert points[upper, 1] > points[lower, 1]

    def test_geometry_is_the_files(self, model, real):
        """Read with another reader: neutral plus weighted differences, in millimetres."""

        def vertices(name: str) -> np.ndarray:
            lines = (real / name).read_text().splitlines()
            every = np.array(" ".join(line[2:] for line in lines if line[:2] == "v ").split(), float).reshape(-1, 3)
            return 10 * np.concatenate([every[part.start : part.stop] for part in PARTS])

        neutral = vertices("generic_neutral_mesh.obj")
        alpha, delta = torch.zeros(1, 10), torch.zeros(1, 8)
        alpha[0, 3], alpha[0, 9], delta[0, 4] = 1.7, -0.6, 0.8  # jawOpen is the fifth expression that is there
        expected = neutral + 1.7 * (vertices("identity003.obj") - neutral)
        expected = expected - 0.6 * (vertices("identity009.obj") - neutral)
        expected = expected + 0.8 * (vertices("jawOpen.obj") - neutral)
        offset = model.mean_shape[0].double().numpy() - neutral[0]
        read = model.geometry(alpha, delta)[0].numpy()
        assert np.abs(read - expected - offset).max() < 1e-4

    def test_jaw_opens_and_lids_close(self, model):
        rest = model.landmarks(model.mean_shape[None])[0]
        moved = model.landmarks(model.mean_shape[None] + model.expression_basis.movedim(2, 0))
        brow, blink, jaw = moved[0], moved[2], moved[4]
        assert float((jaw[62, 1] - jaw[66, 1]) - (rest[62, 1] - rest[66, 1])) > 15
        assert float(rest[8, 1] - jaw[8, 1]) > 15
        open_lids, closed_lids = (points[43, 1] - points[47, 1] for points in (rest, blink))
        assert float(closed_lids) < 0.4 * float(open_lids)
        assert float((brow - rest)[[20, 21, 22, 23], 1].max()) > 2

    def test_frontal_region_is_what_one_would_draw(self, model):
        """A rounded rectangle between the ears, chin and mid-forehead; lips and lids hide what lies behind."""
        points = model.landmarks(model.mean_shape[None])[0].numpy()
        x, y, z = model.mean_shape.numpy().T
        width = 0.9 * np.abs(points[[0, 16], 0]).mean()
        low, high = points[8, 1] + 10, points[19, 1] + 20
        drawn = (np.abs(x / width) ** 3 + np.abs((2 * y - low - high) / (high - low)) ** 3 < 1) & (z > 0)
        mouth = np.arange(len(x)) >= 11_248  # the inside of the mouth, sockets and eyeballs
        mine = model.frontal.numpy() & ~mouth
        drawn &= ~mouth
        assert (mine & drawn).sum() / (mine | drawn).sum() > 0.85
        triangles = model.faces[model.landmark_faces[list(LANDMARKS_46[:-3])]]
        assert float(model.frontal[triangles].float().mean()) > 0.9

    def test_reflectance_lies_on_the_features(self, model):
        mean = model.mean_reflectance
        corners = model.faces[model.landmark_faces]
        lips, bridge = mean[corners[[51, 57]]].mean(dim=(0, 1)), mean[corners[[27, 28]]].mean(dim=(0, 1))
        brows, forehead = mean[corners[[19, 24]]].mean(), mean[corners[[27]]].mean()
        assert float(lips[0] / lips[1]) > 1.1 * float(bridge[0] / bridge[1])
        assert float(brows) < 0.9 * float(forehead)


def write(folder: Path) -> dict[str, np.ndarray]:
    """A folder with all of its vertices, of which the first are a small face; centimetres."""
    face = make_face()
    random = np.random.default_rng(5)
    neutral = np.concatenate([face.vertices / 10, random.normal(size=(VERTEX_COUNT - face.count, 3))])
    # The triangles of the rest: every vertex of the surface belongs to one.
    rest = np.arange(face.count, PARTS[0].stop - (PARTS[0].stop - face.count) % 3).reshape(-1, 3)
    quads = np.concatenate([face.faces, rest]) + 1
    lines = [f"vt {u:.7f} {v:.7f}" for u, v in random.random((VERTEX_COUNT, 2))]
    lines += [f"f {a}/{a} {b}/{b} {c}/{c}" for a, b, c in quads]
    meshes = {"generic_neutral_mesh": neutral}
    for name in ("identity000", "identity001", "identity002", "jawOpen", "browDown_L"):
        meshes[name] = neutral + random.normal(scale=0.1, size=neutral.shape)
    for name, vertices in meshes.items():
        text = "\n".join([f"v {x:.9f} {y:.9f} {z:.9f}" for x, y, z in vertices] + lines)
        (folder / f"{name}.obj").write_text(f"# a licence\n{text}\n")
    content = {"expressions": ["browDown_L", "eyeBlink_L", "jawOpen"], "idx_to_landmark_verts": face.landmarks.tolist()}
    (folder / "vertex_indices.json").write_text(json.dumps(content))
    return meshes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ict")
    return folder, write(folder)


class TestWrittenFiles:
    def load(self, folder: Path, **options):
        return load_model("ict", path=folder, reference=make_reference(), **options)

    def test_round_trip(self, folder):
        folder, meshes = folder
        model = self.load(folder).double()
        keep = np.concatenate([np.array(part) for part in PARTS])
        neutral = meshes["generic_neutral_mesh"]
        modes = [10 * (meshes[name] - neutral)[keep] for name in ("identity000", "identity001", "identity002")]
        expressions = [10 * (meshes[name] - neutral)[keep] for name in ("browDown_L", "jawOpen")]  # the index's order
        random = np.random.default_rng(1)
        alpha, delta = random.normal(size=3), random.normal(size=2)
        expected = 10 * neutral[keep] + np.tensordot(alpha, modes, 1) + np.tensordot(delta, expressions, 1)
        expected += [0, 0, 47.5] - make_face().vertices[make_face().landmarks[27:]].mean(axis=0)
        read = model.geometry(torch.from_numpy(alpha[None]), torch.from_numpy(delta[None]))[0].numpy()
        assert np.abs(read - expected).max() < 1e-4

    def test_fewer_modes(self, folder):
        model = self.load(folder[0], shape_count=2, expression_count=0, reflectance_count=1)
        assert (model.sizes.shape, model.sizes.expression, model.sizes.reflectance) == (2, 0, 1)
        with pytest.raises(ValueError, match="shape_count is 4; the file has 3 modes"):
            self.load(folder[0], shape_count=4)

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("vertex_indices.json", "{", "expected JSON with a list of 'expressions'"),
            ("vertex_indices.json", '{"expressions": []}', "it has no 'idx_to_landmark_verts'"),
            ("vertex_indices.json", '{"expressions": [], "idx_to_landmark_verts": [1, 2]}', "expected 68 numbers as"),
            ("vertex_indices.json", json.dumps({"expressions": [], "idx_to_landmark_verts": [99999] * 68}),
             "has indices from 99999 to 99999, expected 0 to 26718"),
            ("vertex_indices.json", json.dumps({"expressions": [], "idx_to_landmark_verts": [20000] * 68}),
             "landmark 0 is not on the skin"),
            ("identity001.obj", "v 0 0 0\n", "it has 1 vertices, expected the neutral mesh's 26719"),
            ("identity001.obj", "hello", "identity001.obj is no usable OBJ mesh: it has no vertex"),
            ("jawOpen.obj", "v 1 2\n", "a line of 'v' does not hold 3 numbers"),
            ("generic_neutral_mesh.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "it has 3 vertices, expected 26719"),
        ],
    )  # fmt: skip
    def test_damaged_files_are_refused(self, folder, name, content, message):
        file = folder[0] / name
        whole = file.read_text()
        file.write_text(content)
        try:
            with pytest.raises(ValueError, match=message):
                self.load(folder[0])
        finally:
            file.write_text(whole)

    def test_missing_files_are_named(self, tmp_path, folder):
        with pytest.raises(ValueError, match=r"there is no .*generic_neutral_mesh.obj; .*https://github.com/ICT-VGL"):
            self.load(tmp_path)
        (tmp_path / "generic_neutral_mesh.obj").write_text((folder[0] / "generic_neutral_mesh.obj").read_text())
        with pytest.raises(ValueError, match=r"there is no .*vertex_indices.json"):
            self.load(tmp_path)
        (tmp_path / "vertex_indices.json").write_text((folder[0] / "vertex_indices.json").read_text())
        with pytest.raises(ValueError, match=r"there is no identity000.obj in"):
            self.load(tmp_path)
