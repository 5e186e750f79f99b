"""FLAME, from pickles written here as chumpy and SciPy write them, without either knowing."""

from __future__ import annotations

import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sparse
from face_files import check_face, check_geometry, make_face, make_reference
from scipy.spatial.transform import Rotation

from mofa3d.models import load_model

SHAPES, EXPRESSIONS = 300, 4


@pytest.fixture(scope="module")
def face():
    return make_face(SHAPES, EXPRESSIONS)


@pytest.fixture
def chumpy(monkeypatch):
    """A module of the name chumpy that is there while the file is written, not while it is read."""
    package, module = types.ModuleType("chumpy"), types.ModuleType("chumpy.ch")

    class Ch:
        def __init__(self, x: np.ndarray) -> None:
            self.x, self._dirty_vars, self._itr = x, set(), None

    Ch.__module__, Ch.__qualname__, module.Ch = "chumpy.ch", "Ch", Ch
    monkeypatch.setitem(sys.modules, "chumpy", package)
    monkeypatch.setitem(sys.modules, "chumpy.ch", module)
    return Ch


def content_of(face) -> dict[str, object]:
    """Metres; the jaw moves the lower half, its joint is the mean of two vertices."""
    random = np.random.default_rng(3)
    weights = np.zeros((face.count, 5))
    weights[:, 2] = np.clip((-20 - face.vertices[:, 1]) / 30, 0, 1)
    weights[:, 1] = 1 - weights[:, 2]
    regressor = np.zeros((5, face.count))
    # Two vertices whose weighted mean is some point near the jaw's joint; what matters is that it is used.
    regressor[2, [3, 400]] = 0.25, 0.75
    columns = np.concatenate([face.shape * face.shape_deviations, face.expression * face.expression_deviations], axis=1)
    return {
        "v_template": face.vertices / 1000,
        "shapedirs": columns.reshape(face.count, 3, -1) / 1000,
        "posedirs": 1e-3 * random.normal(size=(face.count, 3, 36)),
        "J_regressor": sparse.csc_matrix(regressor),
        "weights": weights,
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]]),
        "f": face.faces.astype(np.uint32),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }


def write(file: Path, content: object, protocol: int = 2) -> Path:
    file.write_bytes(pickle.dumps(content, protocol=protocol))
    return file


def load(path: Path, face, **options):
    options = {"landmarks": face.landmarks.tolist(), "reference": make_reference(), **options}
    return load_model("flame", path=path, **options)


def without_jaw(model):
    """The model without the two columns of the jaw, to compare the others."""
    model.expression_basis = model.expression_basis[:, :, :-2]
    return model


class TestGeometry:
    @pytest.mark.parametrize("protocol", [0, 1, 2, 4])
    def test_round_trip(self, tmp_path, face, chumpy, protocol):
        content = content_of(face)
        for key in ("v_template", "shapedirs", "weights"):
            content[key] = chumpy(content[key])
        file = write(tmp_path / "generic_model.pkl", content, protocol)
        for module in ("chumpy", "chumpy.ch"):
            sys.modules.pop(module)
        model = load(tmp_path if protocol == 2 else file, face)
        assert model.sizes.expression == EXPRESSIONS + 2
        check_geometry(without_jaw(model), face)
        check_face(model, face)
        assert model.name == "flame"
        assert model.uv is None
        assert not {"chumpy", "chumpy.ch"} & sys.modules.keys()

    def test_release_of_2023_and_fewer_modes(self, tmp_path, face):
        write(tmp_path / "flame2023.pkl", content_of(face))
        model = load(tmp_path, face, shape_count=20, expression_count=3)
        assert model.sizes.expression == 3 + 2
        check_geometry(without_jaw(model), face, shape=20, expression=3)

    def test_jaw_is_the_derivative_of_skinning(self, tmp_path, face):
        content = content_of(face)
        model = load(write(tmp_path / "generic_model.pkl", content), face).double()
        joint = 0.25 * face.vertices[3] + 0.75 * face.vertices[400]
        for column, axis, deviation in ((-2, 0, 0.12), (-1, 1, 0.04)):
            step = 1e-5

            def posed(angle: float, axis: int = axis) -> np.ndarray:
                rotation = Rotation.from_rotvec(angle * np.eye(3)[axis]).as_matrix()
                features = np.zeros(36)
                features[9:18] = (rotation - np.eye(3)).ravel()
                corrected = face.vertices + 1000 * content["posedirs"] @ features
                turned = (corrected - joint) @ rotation.T + joint
                share = content["weights"][:, 2:3]
                return share * turned + (1 - share) * corrected

            expected = deviation * (posed(step) - posed(-step)) / (2 * step)
            np.testing.assert_allclose(model.expression_basis[:, :, column].numpy(), expected, atol=1e-4)
        lower = face.landmarks[57]
        content["posedirs"][:] = 0
        model = load(write(tmp_path / "generic_model.pkl", content), face)
        assert float(model.expression_basis[lower, 1, -2]) < -1  # it opens downwards

    def test_missing_reflectance_is_the_references(self, tmp_path, face):
        model = load(write(tmp_path / "generic_model.pkl", content_of(face)), face)
        reference = make_reference()
        assert model.sizes.reflectance == 1
        assert float((model.mean_reflectance - reference.mean_reflectance).abs().median()) < 1e-3


def write_template(folder: Path, face) -> None:
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in face.vertices / 1000]
    lines += [f"vt {u:.8f} {v:.8f}" for u, v in face.uv[::-1]]
    lines += ["f " + " ".join(f"{v + 1}/{face.count - v}" for v in triangle) for triangle in face.faces]
    (folder / "head_template.obj").write_text("\n".join(lines) + "\n")


def write_texture(folder: Path, flavour: str, side: int = 32) -> None:
    """Colors that are linear in the texture coordinates, blue first, the first row at the top."""
    u = (np.arange(side) + 0.5) / side
    v = 1 - u
    red, green = np.broadcast_to(u, (side, side)), np.broadcast_to(v[:, None], (side, side))
    image = np.stack([np.full_like(red, 0.25), green, red], axis=-1)
    modes = np.stack([0.1 * image, 0.05 * image[..., ::-1]], axis=-1)
    if flavour == "albedo":
        arrays = {"MU": image.ravel(), "PC": modes.reshape(-1, 2)}
        np.savez(folder / "FLAME_albedo_from_BFM.npz", **{key: a.astype(np.float32) for key, a in arrays.items()})
    else:
        np.savez(folder / "FLAME_texture.npz", mean=255 * image, tex_dir=255 * modes)


class TestTexture:
    @pytest.mark.parametrize(
        ("flavour", "name"), [("albedo", "FLAME_albedo_from_BFM.npz"), ("space", "FLAME_texture.npz")]
    )
    def test_colors_at_texture_coordinates(self, tmp_path, face, flavour, name):
        file = write(tmp_path / "generic_model.pkl", content_of(face))
        (tmp_path / "textures").mkdir()
        write_template(tmp_path / "textures", face)
        write_texture(tmp_path / "textures", flavour)
        options = {"texture": tmp_path / "textures" / name, "uv": tmp_path / "textures"}
        model = load(file, face, **options).double()
        uv = np.clip(face.uv, 1 / 64, 1 - 1 / 64)  # beyond the centres of the outer pixels the border continues
        expected = np.stack([uv[:, 0], uv[:, 1], np.full(face.count, 0.25)], axis=1)
        np.testing.assert_allclose(model.mean_reflectance.numpy(), expected, atol=1e-5)
        np.testing.assert_allclose(model.reflectance_basis[:, :, 0].numpy(), 0.1 * expected, atol=1e-5)
        np.testing.assert_allclose(model.reflectance_basis[:, :, 1].numpy(), 0.05 * expected[:, ::-1], atol=1e-5)
        np.testing.assert_allclose(model.uv.numpy(), face.uv, atol=1e-6)
        assert load(file, face, **options, reflectance_count=1).sizes.reflectance == 1
        for found in (tmp_path / "textures").iterdir():
            found.rename(tmp_path / found.name)
        assert load(file, face).fingerprint() == model.float().fingerprint()

    def test_needs_the_template(self, tmp_path, face):
        file = write(tmp_path / "generic_model.pkl", content_of(face))
        write_texture(tmp_path, "albedo")
        with pytest.raises(ValueError, match=r"is a texture, which needs head_template.obj: get it from https://flame"):
            load(file, face)
        (tmp_path / "head_template.obj").write_text("v 0 0 0\nv 0 1 0\nv 1 0 0\nvt 0 0\nf 1/1 2/1 3/1\n")
        with pytest.raises(ValueError, match=r"it has 3 vertices and 1 triangles .*, expected the model's 576 v"):
            load(file, face)

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ({"MU": np.ones(10), "PC": np.ones((10, 2))}, "'MU' has 10 numbers, not three for each pixel of a square"),
            ({"MU": np.ones(12)}, "it has no 'PC'"),
            ({"other": np.ones(12)}, "FLAME_texture.npz of FLAME's texture space: it has no 'mean'"),
            ({"MU": np.ones(12), "PC": np.ones((9, 2))}, "expected 12 × any numbers as 'PC', got 9 × 2"),
            (
                {"MU": np.array([{}] * 12), "PC": np.ones((12, 2))},
                r"npz file \(MU.npy contains something other than plain numbers",
            ),
            (None, "cannot be read as an npz file"),
        ],
    )
    def test_damaged_textures_are_refused(self, tmp_path, face, arrays, message):
        file = write(tmp_path / "generic_model.pkl", content_of(face))
        write_template(tmp_path, face)
        texture = tmp_path / "FLAME_albedo_from_BFM.npz"
        if arrays is None:
            write_texture(tmp_path, "albedo")
            texture.write_bytes(texture.read_bytes()[:500])
        else:
            np.savez(texture, **arrays)
        with pytest.raises(ValueError, match=message):
            load(file, face)


class TestDamage:
    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"posedirs": None}, "it has no 'posedirs'"),
            ({"weights": np.ones((576, 4))}, "expected 576 × 5 numbers as 'weights', got 576 × 4"),
            ({"shapedirs": np.ones((576, 3, 100))}, "'shapedirs' has 100 modes, expected more than 300"),
            ({"f": np.array([[0, 1, 576]])}, "'f' has indices from 0 to 576, expected 0 to 575"),
            ({"v_template": "text"}, "it has no 'v_template'"),
            ({"v_template": np.full((576, 3), np.inf)}, "'v_template' has values that are not finite"),
            ({"v_template": make_face().vertices}, "it is .* wide between the points 0 and 16"),
        ],
    )
    def test_wrong_content_is_refused(self, tmp_path, face, changed, message):
        content = {key: value for key, value in {**content_of(face), **changed}.items() if value is not None}
        with pytest.raises(ValueError, match=message):
            load(write(tmp_path / "generic_model.pkl", content), face)

    def test_damaged_and_missing_files_are_refused(self, tmp_path, face):
        with pytest.raises(
            ValueError, match=r"FLAME needs the file generic_model.pkl, which https://flame.is.tue.mpg.de"
        ):
            load(tmp_path, face)
        file = write(tmp_path / "generic_model.pkl", content_of(face))
        for damaged in (file.read_bytes()[:-5000], b"this is text", b"", pickle.dumps([1, 2])):
            file.write_bytes(damaged)
            with pytest.raises(ValueError, match=r"generic_model.pkl cannot be read as a pickle of arrays"):
                load(file, face)
