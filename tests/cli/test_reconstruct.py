"""``mofa3d reconstruct`` as its users type it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pygltflib
import pytest
import torch
import trimesh
from odd_files import bad_files, good_files
from PIL import Image
from tiny_model import make_tiny_model

from mofa3d.cli import main
from mofa3d.cli.reconstruct import Reconstruct
from mofa3d.export import read_code
from mofa3d.files.record import RECORD
from mofa3d.fitting import color_fit

MESHES = {"mesh.glb", "mesh.obj", "mesh.mtl", "mesh_texture.png", "mesh.ply"}
ALWAYS = {"code.json", "camera.json", "overlay.png", "panels.png", RECORD}


def run(tiny_run: Path, *arguments: str | Path) -> int:
    command = ["reconstruct", *map(str, arguments), "--checkpoint", str(tiny_run)]
    return main.main([*command, "--texture-size", "64"])


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture(scope="module")
def folder(tiny_run, portrait, tmp_path_factory) -> Path:
    """What is written about one photograph."""
    out = tmp_path_factory.mktemp("out")
    assert run(tiny_run, portrait, "--out", out) == 0
    return out / "grace_hopper"


def test_a_runtime_that_is_not_offered_is_refused_with_those_that_are(portrait, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main.main(["reconstruct", str(portrait), "--out", str(tmp_path), "--runtime", "int8"])
    refusal = capsys.readouterr().err
    assert "invalid choice 'int8'" in refusal
    assert all(offered in refusal for offered in ("auto", "torch", "onnx", "bfloat16"))
    assert not list(tmp_path.iterdir())


class TestOnePhotograph:
    def test_everything_is_written(self, folder):
        assert names(folder) == ALWAYS | MESHES
        assert set(json.loads((folder / RECORD).read_text())["files"]) == ALWAYS - {RECORD} | MESHES

    def test_pictures(self, folder, portrait):
        assert Image.open(folder / "panels.png").size == (5 * 120, 120)
        photo, overlay = np.asarray(Image.open(portrait)), np.asarray(Image.open(folder / "overlay.png"))
        changed = (photo != overlay).any(axis=-1)
        assert 0.05 < changed.mean() < 0.5
        rows, columns = np.nonzero(changed)
        assert np.hypot(columns.mean() - 265, rows.mean() - 230) < 40  # the face

    def test_meshes_are_one_face(self, folder):
        plain = trimesh.load_mesh(folder / "mesh.ply", process=False)
        assert len(plain.vertices) == 144
        textured = trimesh.load_mesh(folder / "mesh.glb", process=False)
        np.testing.assert_allclose(textured.extents * 1000, plain.extents, rtol=1e-5)
        picture = np.asarray(Image.open(folder / "mesh_texture.png"))
        assert picture.shape == (64, 64, 3)
        assert np.array_equal(np.asarray(textured.visual.material.baseColorTexture.convert("RGB")), picture)

    def test_second_time_nothing_is_done(self, tiny_run, portrait, folder, capsys):
        before = (folder / "mesh.glb").stat().st_mtime_ns
        assert run(tiny_run, portrait, "--out", folder.parent) == 0
        assert capsys.readouterr().out == "1 were there already\n"
        assert (folder / "mesh.glb").stat().st_mtime_ns == before


def test_options(tiny_run, portrait, tmp_path, capsys):
    assert (
        run(tiny_run, portrait, "--out", tmp_path, "--formats", "glb", "ply", "--texture", "none", "--turntable") == 0
    )
    folder = tmp_path / "grace_hopper"
    assert capsys.readouterr().out == f"{folder}\n"
    assert names(folder) == ALWAYS | {"mesh.glb", "mesh.ply", "turntable.png", "turntable.mp4"}
    assert len(trimesh.load_mesh(folder / "mesh.glb", process=False).vertices) == 144
    # Other options: done again, and what belonged to the first ones is gone.
    assert run(tiny_run, portrait, "--out", tmp_path, "--formats", "obj", "--texture", "model") == 0
    assert names(folder) == ALWAYS | {"mesh.obj", "mesh.mtl", "mesh_texture.png"}
    smooth = np.asarray(Image.open(folder / "mesh_texture.png")).astype(int)
    assert run(tiny_run, portrait, "--out", tmp_path, "--formats", "obj", "--morph-targets", "2") == 0
    rough = np.asarray(Image.open(folder / "mesh_texture.png")).astype(int)
    assert np.abs(np.diff(smooth, axis=0)).mean() < np.abs(np.diff(rough, axis=0)).mean()


def test_refinement_changes_the_code(tiny_run, portrait, tmp_path):
    pytest.importorskip("dlib")
    for name, more in {"plain": (), "refined": ("--refine",)}.items():
        assert run(tiny_run, portrait, "--out", tmp_path / name, "--formats", "ply", *more) == 0
    codes = [json.loads((tmp_path / n / "grace_hopper" / "code.json").read_text()) for n in ("plain", "refined")]
    assert np.abs(np.subtract(*(code["shape"] for code in codes))).max() > 0.01


def test_prediction_stays_if_asked_for(tiny_run, portrait, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(color_fit, "FEWEST", 5)  # the tiny model has few vertices
    for name, more in {"fitted": (), "said": ("--as-predicted",)}.items():
        assert run(tiny_run, portrait, "--out", tmp_path / name, "--formats", "ply", *more) == 0
    fitted, said = (json.loads((tmp_path / n / "grace_hopper" / "code.json").read_text()) for n in ("fitted", "said"))
    assert fitted["shape"] == said["shape"]
    assert np.abs(np.subtract(fitted["reflectance"], said["reflectance"])).max() > 0.01
    assert run(tiny_run, portrait, "--out", tmp_path / "both", "--as-predicted", "--refine") == 2
    assert (
        "--refine changes the codes that --as-predicted keeps unchanged; give only one of the two"
        in capsys.readouterr().err
    )


def test_the_others_are_still_done(tiny_run, portrait, tmp_path, capsys):
    noise = np.random.default_rng(0).integers(0, 256, (120, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    (tmp_path / "film.mp4").write_bytes(b"frames")
    inputs = (tmp_path / "noise.png", tmp_path / "missing.jpg", tmp_path / "film.mp4", portrait)
    assert run(tiny_run, *inputs, "--out", tmp_path / "out", "--formats", "ply") == 2
    assert names(tmp_path / "out") == {"grace_hopper", "failures.csv"}
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    missing = f"there is no file or folder {inputs[1]}, and nothing matches it as a pattern; check the path"
    assert errors[0] == f"error: {missing}"
    assert errors[1] == f"error: {inputs[0]}: no face was found; give a photograph with a clear, roughly frontal face"
    assert errors[2].startswith(f"error: {inputs[2]}")
    assert (
        errors[3]
        == f"error: 3 could not be reconstructed, 1 could; the reasons are in {tmp_path / 'out' / 'failures.csv'}"
    )


def test_morph_targets_have_names(tiny_run, portrait, tmp_path):
    options = ("--formats", "glb", "--morph-targets", "1", "--blendshapes", "expression_3", "expression_2")
    assert run(tiny_run, portrait, "--out", tmp_path, *options) == 0
    [mesh] = pygltflib.GLTF2.load(str(tmp_path / "grace_hopper" / "mesh.glb")).meshes
    assert mesh.extras["targetNames"] == ["expression_01", "expression_3", "expression_2"]
    assert len(mesh.primitives[0].targets) == 3


def test_face_at_rest_and_metres(tiny_run, portrait, tmp_path):
    formats = ("--formats", "glb", "ply", "obj")
    for name, more in {"seen": (), "rest": ("--neutral", "--units", "m", "--blendshapes", "all")}.items():
        assert run(tiny_run, portrait, "--out", tmp_path / name, *formats, *more) == 0
    folder = tmp_path / "rest" / "grace_hopper"
    model, code = make_tiny_model(), read_code(folder / "code.json")[0]
    expected = model.geometry(code.shape, torch.zeros_like(code.expression))[0].numpy() / 1000
    for kind in ("ply", "obj", "glb"):
        mesh = trimesh.load_mesh(folder / f"mesh.{kind}", process=False)
        vertices = np.asarray(mesh.vertices)
        np.testing.assert_allclose(vertices.min(axis=0), expected.min(axis=0), atol=1e-6)
        np.testing.assert_allclose(vertices.max(axis=0), expected.max(axis=0), atol=1e-6)
    seen = trimesh.load_mesh(tmp_path / "seen" / "grace_hopper" / "mesh.ply", process=False).vertices
    smile = model.geometry(code.shape, code.expression)[0].numpy()
    np.testing.assert_allclose(seen, smile, atol=1e-3)
    assert np.abs(seen - 1000 * expected).max() > 0.01


def test_videos_are_done_too(tiny_run, portrait, tmp_path):
    picture = cv2.resize(cv2.imread(str(portrait)), (160, 160))
    writer = cv2.VideoWriter(str(tmp_path / "talk.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (160, 160))
    for shift in range(12):
        writer.write(np.roll(picture, shift // 2, axis=1))
    writer.release()
    assert run(tiny_run, tmp_path / "talk.avi", "--out", tmp_path / "out") == 0
    folder = tmp_path / "out" / "talk"
    assert names(folder) == {"overlay.mp4", "codes.npz", "mesh.glb", "summary.json", "reconstruction.json"}
    assert np.load(folder / "codes.npz")["frame"].tolist() == list(range(12))
    before = (folder / "overlay.mp4").stat().st_mtime_ns
    assert run(tiny_run, tmp_path / "talk.avi", "--out", tmp_path / "out") == 0
    assert (folder / "overlay.mp4").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--blendshapes", "expresion_1"), "there is no expression unit 'expresion_1'; did you mean expression_1"),
        (("--morph-targets", "5"), "has 4 expression columns, so there can be 0 to as many morph targets"),
        (("--texture-size", "8"), "texture_size is 8; give a number from 16 to 4096"),
        (("--same-person",), "with the default face model only, not with 'tiny'"),
        (("--same-person", "--every-face"), "leave out --every-face and --as-predicted"),
        (("--blendshapes", "arkit"), "this face model does not have the 52 expression units of ARKit"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(tiny_run, portrait, tmp_path, capsys, options, message):
    command = ["reconstruct", str(portrait), "--out", str(tmp_path / "out"), "--checkpoint", str(tiny_run), *options]
    assert main.main(command) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_every_face_of_a_photograph(tiny_run, portrait, tmp_path):
    face = Image.open(portrait).crop((100, 60, 440, 400))
    both = Image.new("RGB", (760, 420), "grey")
    both.paste(face.resize((220, 220)), (20, 120))
    both.paste(face, (300, 40))
    both.save(tmp_path / "both.png")
    assert run(tiny_run, tmp_path / "both.png", "--out", tmp_path, "--formats", "--every-face") == 0
    assert names(tmp_path / "both") == {"face_1", "face_2", RECORD}
    lefts = [json.loads((tmp_path / "both" / f"face_{n}" / "code.json").read_text())["crop"]["left"] for n in (1, 2)]
    assert lefts[0] > 200 > lefts[1]


@pytest.mark.slow
def test_a_hundred_odd_files(tiny_run, portrait, tmp_path, capsys):
    """Unusual files are done, damaged ones are told with a reason, and nothing lands outside of the folder."""
    face = Image.open(portrait).crop((100, 60, 440, 400)).resize((160, 160))
    good = {name: data for name, data in good_files(face).items() if " 0" in name}
    bad = bad_files(face)
    upright = good["tiff 0.tif"]
    good |= {
        "~nobody.jpg": upright, "[1].jpg": upright, "-rf.jpg": upright, "CON.jpg": upright, "Same.jpg": upright,
        "same.jpg": upright, "a\nb\x1b[31m.jpg": upright, f"{'x' * 250}.jpg": upright, "%2e%2e%2f.jpg": upright,
        "\\..\\..\\up.jpg": upright, "…/x ...jpg": upright, os.fsdecode(b"caf\xe9.jpg"): upright,
    }  # fmt: skip
    root, out = tmp_path / "files", tmp_path / "work" / "out"
    for name, data in {**good, **bad}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    (root / "loop.jpg").symlink_to(root / "loop.jpg")
    (root / "circle").symlink_to(root)
    (root / "folder.jpg").mkdir()
    count = sum(not path.is_dir() for path in root.rglob("*"))
    before = {path: path.lstat().st_mtime_ns for path in root.rglob("*")}

    assert run(tiny_run, root, tmp_path / "nowhere" / "*.jpg", "--out", out, "--formats") == 2
    said = capsys.readouterr().err
    done = [path for path in out.iterdir() if (path / RECORD).exists()]
    assert count > 140
    assert len(done) == len(good)
    assert all((path / "overlay.png").exists() for path in done)
    made_from = {json.loads((path / RECORD).read_text())["file"] for path in done}
    assert made_from == {str(root / name) for name in good}
    failed = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(failed) == len(bad) + 3  # the loop, the pattern, and the sum of it
    assert "Traceback" not in said
    assert "\x1b[31m" not in said
    # Nothing but the folder, whose own names are plain.
    assert names(tmp_path) == {"files", "work"}
    assert names(tmp_path / "work") == {"out"}
    assert {path: path.lstat().st_mtime_ns for path in root.rglob("*")} == before
    for path in out.rglob("*"):
        assert path.name.isprintable()
        assert len(path.name.encode()) <= 100
    assert len({path.name.casefold() for path in done}) == len(done)
    shutil.rmtree(out)


def test_command_needs_no_arguments_but_inputs():
    assert Reconstruct(("photo.jpg",)).out == Path("reconstructions")
