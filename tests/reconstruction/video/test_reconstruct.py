"""A video becomes one face, a smooth path, and files; with squares for faces, and with the encoder that is shipped."""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pygltflib
import pytest
import torch
from any_videos import write_any
from glb_file import Glb
from scipy.spatial import cKDTree
from spot_videos import SIDE, detect_spots, frame_of, locate_spot, spot_reconstructor, write_spots

from mofa3d.camera import Camera
from mofa3d.data.crop_transform import CropTransform
from mofa3d.data.video import read_frames, read_info
from mofa3d.decoder import Decoder
from mofa3d.errors import InputError
from mofa3d.export import film_writer
from mofa3d.export.face_textures import FaceTextures
from mofa3d.losses import LANDMARKS_46
from mofa3d.models.arkit import ARKIT, arkit_units
from mofa3d.models.expression_units import expression_units
from mofa3d.morphable_model import MorphableModel
from mofa3d.pictures.overlay import composite
from mofa3d.reconstruction.reconstructor import Reconstructor
from mofa3d.reconstruction.video import tracking
from mofa3d.reconstruction.video.reconstruct import VideoOptions, VideoSummary, reconstruct_video
from mofa3d.renderers import make_renderer
from mofa3d.renderers.cpu_rasterizer import rasterize
from mofa3d.semantic_code import SemanticCode

OPTIONS = VideoOptions(morph_targets=2, progress=False)


@pytest.fixture(autouse=True)
def _squares_are_faces(request, monkeypatch):
    if "slow" not in request.keywords:
        monkeypatch.setattr(tracking, "detect_faces", detect_spots)
        monkeypatch.setattr(tracking, "locate", locate_spot)


@pytest.fixture
def render():
    return make_renderer("cpu")


def moving(count: int) -> list[tuple[float, float, float]]:
    return [(70 + 20 * math.sin(k / 12), 60 + 10 * math.sin(k / 9), 36 + 4 * math.sin(k / 15)) for k in range(count)]


def photos_of(path: Path) -> list[np.ndarray]:
    return [frame.photo for frame in read_frames(path)]


def expected_landmarks(model, places) -> np.ndarray:
    """Of the average face, whose origin lies in the middle of the square and which is as large."""
    camera = Camera(48)
    points = Decoder(model, camera)(SemanticCode.zeros(1, model.sizes)).landmarks[0].numpy()
    unit = (points - 24) * camera.rest_distance / camera.focal / SIDE
    return np.array([np.array(place[:2]) + unit * place[2] for place in places])


def test_identity_is_constant_and_the_face_trembles_less(tiny_model, render, tmp_path):
    places = moving(40)
    path = write_spots(tmp_path / "Лицо.mp4", places)
    out = tmp_path / "новое" / "ergebnis ü"
    summary = reconstruct_video(path, spot_reconstructor(tiny_model, noise=0.3), render, out, OPTIONS)
    assert isinstance(summary, VideoSummary)
    assert sorted(file.name for file in out.iterdir()) == ["codes.npz", "mesh.glb", "overlay.mp4", "summary.json"]
    assert [file.name for file in out.parent.iterdir()] == [out.name]
    assert (summary.frames, summary.found, summary.bridged, summary.without_face) == (40, 40, (), ())
    assert summary.jitter.ratio < 0.3
    assert summary.jitter.per_frame > 0.3
    with np.load(out / "codes.npz", allow_pickle=False) as content:
        codes = dict(content)
    assert codes["shape"].shape == (5,)
    assert codes["reflectance"].shape == (6,)
    assert codes["expression"].shape == (40, 4)
    assert codes["frame"].tolist() == list(range(40))
    assert np.abs(codes["shape"]).max() < 0.3  # the median of numbers around 0
    distance = np.linalg.norm(codes["landmarks"] - expected_landmarks(tiny_model, places), axis=2)
    assert distance.mean() < 0.8
    written = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert written["jitter"]["ratio"] == summary.jitter.ratio
    assert written["video"] == str(path)
    assert "second difference" in written["definitions"]["jitter"]
    file = Glb(out / "mesh.glb")
    columns = [f"expression_0{number}_{way}" for number in (1, 2) for way in ("plus", "minus")]
    assert file.mesh["extras"]["targetNames"] == columns
    [output] = [
        file.tree["animations"][0]["samplers"][channel["sampler"]]["output"]
        for channel in file.tree["animations"][0]["channels"]
        if channel["target"]["path"] == "weights"
    ]
    weights = file.array(output).reshape(40, 4)
    assert weights.min() == 0
    np.testing.assert_allclose(weights.max(axis=0), 1)
    # The codes and crops of the file give the landmarks of the file.
    blocks = {name: torch.from_numpy(codes[name]) for name in SemanticCode.__dataclass_fields__}
    blocks |= {name: blocks[name].expand(40, -1) for name in ("shape", "reflectance")}
    scene = Decoder(tiny_model, Camera(48))(SemanticCode(**blocks))
    crops = [CropTransform(*row) for row in codes["crop"].tolist()]
    points = [crop.to_photo(each) for crop, each in zip(crops, scene.landmarks.double().numpy(), strict=True)]
    np.testing.assert_allclose(points, codes["landmarks"], atol=1e-3)


def test_film_shows_photograph_overlay_and_geometry(tiny_model, render, tmp_path):
    places = moving(12)
    path = write_spots(tmp_path / "film.mp4", places)
    summary = reconstruct_video(path, spot_reconstructor(tiny_model), render, tmp_path / "out", OPTIONS)
    info = read_info(tmp_path / "out" / "overlay.mp4")
    assert (info.width, info.height, info.rate, info.announced) == (480, 120, 25.0, 12)
    assert summary.codec in ("h264", "mpeg4")
    originals = photos_of(path)
    for number, frame in enumerate(photos_of(tmp_path / "out" / "overlay.mp4")):
        photograph, overlay, geometry = np.split(frame.astype(int), 3, axis=1)
        assert np.abs(photograph - originals[number]).mean() < 6
        x, y, side = places[number]
        corner = np.s_[: int(y - side), : int(x - side)]
        assert overlay[corner].max() < 20
        assert np.abs(overlay - photograph).mean() > 0.2
        middle = geometry[int(y), int(x)]
        assert middle.max() - middle.min() < 12  # clay is grey
        assert np.abs(geometry - overlay).mean() > 0.2


def test_frames_without_a_face(tiny_model, render, tmp_path):
    places: list = moving(40)
    for gone in (*range(3), 10, 11, *range(20, 36)):
        places[gone] = None
    path = write_spots(tmp_path / "film.mp4", places)
    out = tmp_path / "out"
    summary = reconstruct_video(path, spot_reconstructor(tiny_model), render, out, OPTIONS)
    assert summary.without_face == ((0, 2), (20, 37))  # it is looked for in every third frame
    assert summary.bridged == (10, 11, 12)
    assert summary.found == 40 - 3 - 3 - 18
    codes = np.load(out / "codes.npz")
    assert np.flatnonzero(codes["bridged"]).tolist() == [7, 8, 9]
    true = expected_landmarks(tiny_model, moving(40))[codes["frame"]]
    assert np.linalg.norm(codes["landmarks"] - true, axis=2).mean(axis=1).max() < 1.5
    frames = photos_of(out / "overlay.mp4")
    assert len(frames) == 40
    assert frames[25].max() < 20
    tree = pygltflib.GLTF2().load(str(out / "mesh.glb"))
    times = tree.accessors[tree.animations[0].samplers[0].input]
    assert (times.count, times.max) == (37, [pytest.approx(36 / 25)])  # frames 3 to 19 and 38 to 39, and between them


def test_odd_sizes(tiny_model, render, tmp_path):
    frames = [frame_of(place, 161, 121) for place in moving(4)]
    path = write_any(tmp_path / "odd.mkv", frames, "ffv1", rate=10, pixels="bgr0")
    options = VideoOptions(morph_targets=0, progress=False, geometry=False)
    summary = reconstruct_video(path, spot_reconstructor(tiny_model), render, tmp_path / "out", options)
    assert (summary.width, summary.height, summary.rate) == (161, 121, 10.0)
    info = read_info(tmp_path / "out" / "overlay.mp4")
    assert (info.width, info.height, info.rate) == (324, 122, 10.0)


def test_large_frames_are_made_smaller_in_the_film_only(tiny_model, render, tmp_path):
    places = moving(4)
    path = write_spots(tmp_path / "film.mp4", places)
    options = VideoOptions(morph_targets=0, progress=False, geometry=False, max_side=80)
    reconstruct_video(path, spot_reconstructor(tiny_model), render, tmp_path / "out", options)
    info = read_info(tmp_path / "out" / "overlay.mp4")
    assert (info.width, info.height) == (160, 60)
    landmarks = np.load(tmp_path / "out" / "codes.npz")["landmarks"]
    assert np.abs(landmarks - expected_landmarks(tiny_model, places)).mean() < 1


def test_what_cannot_be_done_leaves_nothing_behind(tiny_model, render, tmp_path):
    dark = write_spots(tmp_path / "dark.mp4", [None] * 5)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(dark.read_bytes()[: dark.stat().st_size // 3])
    before = sorted(tmp_path.iterdir())
    for path, message in ((dark, "no face was found in the 5 frames of .*dark.mp4"), (broken, "broken.mp4")):
        with pytest.raises(ValueError, match=message):
            reconstruct_video(path, spot_reconstructor(tiny_model), render, tmp_path / "out", OPTIONS)
    wrong = VideoOptions(morph_targets=5, progress=False)
    with pytest.raises(ValueError, match="0 to as many morph targets, not 5"):
        reconstruct_video(dark, spot_reconstructor(tiny_model), render, tmp_path / "out", wrong)

    def fail(scene):
        raise InputError("no rendering")

    good = write_spots(tmp_path / "good.mp4", moving(3))
    with pytest.raises(ValueError, match="no rendering"):
        reconstruct_video(good, spot_reconstructor(tiny_model), fail, tmp_path / "out", OPTIONS)
    assert sorted(tmp_path.iterdir()) == sorted([*before, good])


def test_frames_keep_their_times(tiny_model, render, tmp_path):
    times = [0, 4, 6, 28, 30, 31, 35, 80]  # in 1 / 100 s
    frames = [frame_of(place) for place in moving(8)]
    path = write_any(tmp_path / "varying.mkv", frames, "ffv1", rate=1, pixels="bgr0", times=times)
    summary = reconstruct_video(path, spot_reconstructor(tiny_model), render, tmp_path / "out", OPTIONS)
    seconds = [time / 100 for time in times]
    assert (summary.frames, summary.damage, summary.rate) == (8, "", pytest.approx(7 / 0.8))
    assert [frame.time for frame in read_frames(tmp_path / "out" / "overlay.mp4")] == pytest.approx(seconds, abs=1e-4)
    assert np.load(tmp_path / "out" / "codes.npz")["time"].tolist() == pytest.approx(seconds)
    file = Glb(tmp_path / "out" / "mesh.glb")
    [animation] = file.tree["animations"]
    for sampler in animation["samplers"]:
        np.testing.assert_allclose(file.array(sampler["input"]).ravel(), seconds, atol=1e-6)


def test_what_is_missing_of_a_video_is_told(tiny_model, render, tmp_path, caplog):
    cut = write_any(tmp_path / "cut.avi", map(frame_of, moving(20)), "mjpeg", pixels="yuvj420p")
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    live = write_any(tmp_path / "cut.mkv", map(frame_of, moving(30)), "ffv1", pixels="bgr0")
    live.write_bytes(live.read_bytes()[: live.stat().st_size // 2])
    for path, damage in ((cut, r"\d+ of 20 frames are left"), (live, r"the last frame is at 1\.\d+ of 3\.00 s")):
        out = tmp_path / path.suffix
        summary = reconstruct_video(path, spot_reconstructor(tiny_model), render, out, OPTIONS)
        assert 6 < summary.frames < 20
        assert re.search(damage, summary.damage)
        assert f"{path} is damaged: {summary.damage}" in caplog.text
        assert json.loads((out / "summary.json").read_text())["damage"] == summary.damage


def test_one_frame_has_no_jitter(tiny_model, render, tmp_path):
    name = "bad\udcff.mp4" if sys.platform == "linux" else "film.mp4"  # a name that is not UTF-8
    path = write_spots(tmp_path / name, moving(1))
    summary = reconstruct_video(path, spot_reconstructor(tiny_model), render, tmp_path / "out", OPTIONS)
    assert math.isnan(summary.jitter.ratio)
    written = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert written["jitter"] == {"per_frame": None, "smoothed": None, "ratio": None}


def test_options():
    with pytest.raises(ValueError, match="max_side must be at least 2 pixels, got 1"):
        VideoOptions(max_side=1)


def check_animation(out: Path, model: MorphableModel, error: float) -> None:
    """The weights of arkit.csv are those of the mesh, from 0 to 1, and make the mesh of every frame again."""
    file, codes = Glb(out / "mesh.glb"), np.load(out / "codes.npz")
    names = file.mesh["extras"]["targetNames"]
    assert names == list(ARKIT)
    assert file.tree["images"]
    animation = file.tree["animations"][0]
    samplers = {each["target"]["path"]: animation["samplers"][each["sampler"]] for each in animation["channels"]}
    weights = file.array(samplers["weights"]["output"]).reshape(-1, 52)
    with open(out / "arkit.csv", newline="") as lines:
        rows = list(csv.DictReader(lines))
    written = np.array([[float(row[name[0].upper() + name[1:]]) for name in names] for row in rows])
    np.testing.assert_allclose(written, weights, atol=1e-6)
    assert 0 <= weights.min() < 0.01 < 0.1 < weights.max() <= 1
    units = arkit_units(expression_units(model))
    codes_again = torch.tensor(weights) @ torch.stack(list(units.values()))
    frontal = model.frontal
    left = torch.from_numpy(codes["expression"]) - codes_again
    distance = torch.einsum("nce,te->tnc", model.expression_basis[frontal], left).norm(dim=2)
    assert float(distance.mean()) == pytest.approx(error, rel=0.3)  # there, vertices are as heavy as their surface
    # Packed targets add up to what their units do to the frame with the largest weights.
    row = int(weights.sum(axis=1).argmax())
    moved = torch.einsum("nce,e->nc", model.expression_basis, codes_again[row]).numpy()
    packed = 1000 * np.tensordot(weights[row], file.displacements(), 1)
    positions = model.geometry(torch.from_numpy(codes["shape"])[None], torch.zeros(1, 64))[0].numpy()
    nearest = cKDTree(positions).query(1000 * file.attribute("POSITION"))[1]
    off = np.linalg.norm(packed - moved[nearest], axis=1)
    assert off.mean() < 0.1
    assert np.quantile(off, 0.999) < 0.5


@pytest.mark.slow
def test_shipped_encoder_on_a_rendered_face(default_model, render, tmp_path):
    """A talking, turning face with known codes, drawn with noise."""
    reconstructor = Reconstructor.open()
    count, generator = 50, torch.Generator().manual_seed(1)
    time = torch.arange(count) / 25
    weight = (0.5 - 0.5 * torch.cos(3 * time))[:, None]
    ends = 0.5 * torch.randn(2, 64, generator=generator)
    angles = torch.stack([0.1 * torch.sin(1.1 * time), 0.25 * torch.sin(0.8 * time), 0.08 * torch.sin(time)], dim=1)
    true = SemanticCode.zeros(count).replace(
        shape=(0.6 * torch.randn(1, 80, generator=generator)).expand(count, -1),
        reflectance=(0.6 * torch.randn(1, 80, generator=generator)).expand(count, -1),
        expression=ends[:1] * weight + ends[1:] * (1 - weight),
        rotation=angles,
    )
    wall = np.random.default_rng(0).integers(0, 256, (360, 480, 3), dtype=np.uint8)
    wall = cv2.normalize(cv2.GaussianBlur(wall, (0, 0), 15), None, 70, 180, cv2.NORM_MINMAX)
    noise = np.random.default_rng(1)
    landmarks = []
    with film_writer(tmp_path / "face.mp4", 480, 360, 25.0) as write:
        for k in range(count):
            crop = CropTransform(130 + 50 * math.sin(k / 20), 60 + 20 * math.sin(k / 35), 1.1)
            with torch.no_grad():
                scene = reconstructor.decode(true[k : k + 1])
            rgba = render(scene).image[0].permute(1, 2, 0).contiguous().numpy()
            frame = composite(wall, rgba, crop) + noise.normal(0, 6, wall.shape)
            write(frame.clip(0, 255).astype(np.uint8))
            landmarks.append(crop.to_photo(scene.landmarks[0].double().numpy()))
    options = VideoOptions(progress=False, texture="photograph", texture_size=128)
    textures = FaceTextures(reconstructor.decode.model, rasterize)
    summary = reconstruct_video(
        tmp_path / "face.mp4", reconstructor, render, tmp_path / "out", options, textures=textures
    )
    assert (summary.found, summary.tracks) == (count, 1)
    assert summary.arkit_error.mean < summary.arkit_error.largest < 1.0
    check_animation(tmp_path / "out", reconstructor.decode.model, summary.arkit_error.mean)
    assert summary.jitter.ratio < 0.5
    found = np.load(tmp_path / "out" / "codes.npz")["landmarks"]
    points = list(LANDMARKS_46)
    assert np.linalg.norm(found - np.array(landmarks), axis=2)[:, points].mean() < 3.5
