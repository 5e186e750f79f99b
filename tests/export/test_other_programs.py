"""Blender and three.js play the animation: names, weights that nobody cuts off, and vertices where ours are."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from glb_file import Glb, validate

from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.models.arkit import ARKIT
from mofa3d.reconstruction.video.animation import FilmRig, Moving, write_film_mesh
from mofa3d.semantic_code import SemanticCode

SUPPORT = Path(__file__).parent.parent / "support"
FRAMES = 6
PAGE = '<!doctype html><body><script type="module" src="./play.js"></script></body>'
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# WebGL by software, for machines without a GPU.
OPTIONS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


class Film(NamedTuple):
    """A GLB file of a face that moves, and where its vertices have to be."""

    path: Path
    moving: Moving
    places: np.ndarray  # (T, N, 3) mm, as the camera sees them


@pytest.fixture(scope="module")
def film(default_model, tmp_path_factory) -> Film:
    generator = torch.Generator().manual_seed(4)
    code = SemanticCode.zeros(FRAMES).replace(
        shape=(0.7 * torch.randn(1, 80, generator=generator)).expand(FRAMES, -1),
        expression=torch.randn(FRAMES, 64, generator=generator),
        rotation=0.2 * torch.randn(FRAMES, 3, generator=generator),
        translation=20 * torch.randn(FRAMES, 3, generator=generator),
    )
    times = np.arange(FRAMES) / 24
    rig = FilmRig(default_model)
    moving = rig(code.expression, times)
    path = tmp_path_factory.mktemp("film") / "face.glb"
    write_film_mesh(path, default_model, code, moving, np.arange(FRAMES), times)
    units = torch.stack([rig.units[name] for name in moving.targets.names])
    shown = code.replace(expression=moving.weights @ units)
    with torch.no_grad():
        places = Decoder(default_model, Camera())(shown).positions
    return Film(path, moving, places.numpy())


def test_the_file_is_small_and_sound(film):
    assert film.path.stat().st_size < 8_000_000
    assert 0 <= film.moving.weights.min() < film.moving.weights.max() <= 1
    report = validate(film.path)
    assert report["issues"]["messages"] == []


@cache
def _blender() -> str:
    """A Python that has Blender, with its own NumPy."""
    python = os.environ.get("MOFA3D_BLENDER", "")
    command = [python, "-c", "import bpy"]
    if not python or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("pip install bpy in an environment of its own, and set MOFA3D_BLENDER to its python")
    return python


@pytest.mark.slow
def test_blender_plays_it(film, tmp_path):
    out = tmp_path / "seen.npz"
    script = [_blender(), str(SUPPORT / "blender_play.py"), str(film.path), str(out)]
    subprocess.run(script, capture_output=True, check=True)
    seen = np.load(out)
    assert tuple(seen["names"]) == ARKIT
    assert (seen["ends"] == [0, 1]).all()
    np.testing.assert_allclose(np.diff(seen["seconds"]), 1 / 24, atol=1e-4)
    np.testing.assert_allclose(seen["weights"], film.moving.weights, atol=1e-5)
    assert seen["places"].shape == film.places.shape
    off = np.linalg.norm(1000 * seen["places"] - film.places, axis=2)
    assert off.max() < 0.5
    assert off.mean() < 0.1
    assert Glb(film.path).mesh["weights"] == [0] * 52


@pytest.fixture
def page(film) -> Iterator[object]:
    """A page that has loaded the file; NiceGUI's wheel brings three.js."""
    place = importlib.util.find_spec("nicegui")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install 'mofa3d[test]'")
    if place is None:
        pytest.skip("three.js comes with NiceGUI: pip install 'mofa3d[view]'")
    three = Path(place.origin).parent / "elements" / "scene" / "dist" / "index.js"
    files = {"three.js": three, "play.js": SUPPORT / "three_play.js", "face.glb": film.path}
    found = os.environ.get("MOFA3D_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    with playwright.sync_playwright() as engine:
        path = found or engine.chromium.executable_path
        if not three.exists() or not Path(path).exists():
            pytest.skip("three.js or Chromium was not found: set MOFA3D_CHROMIUM to its path")
        browser = engine.chromium.launch(executable_path=path, args=OPTIONS)
        page = browser.new_page()
        page.troubles = []
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.route("http://face.test/", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        for name, file in files.items():
            page.route(f"http://face.test/{name}", partial(_answer, file))
        page.goto("http://face.test/")
        page.wait_for_function("window.names !== undefined", timeout=120_000)
        yield page
        browser.close()


def _answer(file: Path, route: object) -> None:
    route.fulfill(path=file, content_type="text/javascript" if file.suffix == ".js" else "model/gltf-binary")


@pytest.mark.slow
def test_three_plays_it(film, page):
    assert page.evaluate("window.names") == list(ARKIT)
    pictures = []
    for frame in (1, FRAMES - 1):
        seen = page.evaluate(f"window.play({frame / 24 - 1e-6})")
        np.testing.assert_allclose(seen["weights"], film.moving.weights[frame], atol=1e-3)
        off = np.linalg.norm(1000 * np.reshape(seen["places"], (-1, 3)) - film.places[frame], axis=1)
        assert off.max() < 0.5
        assert off.mean() < 0.1
        pictures.append(np.reshape(seen["pixels"], (160, 160, 4))[..., :3])
    face = [(picture > 0).any(axis=2).mean() for picture in pictures]
    assert min(face) > 0.1  # it is drawn
    assert (np.abs(pictures[0].astype(int) - pictures[1]) > 8).any(axis=2).mean() > 0.05  # and moves
    assert page.troubles == []
