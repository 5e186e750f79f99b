"""The page in a headless Chromium: ways to begin, to come back, and to look at it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from browsed_page import differ, drag_to, look, shown, upload, wait_for
from PIL import Image

from mofa3d.export.video import film_writer

pytest.importorskip("nicegui", reason="the page's package is missing: pip install 'mofa3d[view]'")

pytestmark = pytest.mark.slow


def test_sample_photograph(page):
    page.get_by_role("button", name="Try a sample").click()
    picture, _ = shown(page)
    assert picture.shape == (600, 512, 3)
    assert page.get_by_text("grace_hopper.jpg, 512 × 600 pixels").is_visible()


def test_everything_is_there_again_after_a_reload(page, portrait):
    """But not in another tab, and not for another visitor."""
    upload(page, portrait.read_bytes(), "a.jpg")
    _, version = shown(page)
    drag_to(page, "Turn left / right", 0.7)
    turned, version = shown(page, version)
    look(page, "Clay", "look=shape")
    page.reload()
    again, _ = shown(page)
    assert np.array_equal(again, turned)
    assert "look=shape" in page.locator(".mesh-view").first.get_attribute("data-shown")
    assert page.get_by_text("a.jpg, 512 × 600 pixels").is_visible()
    page.get_by_role("button", name="Undo", exact=True).click()
    back, version = shown(page, version)
    assert differ(back, turned) > 0.01
    other = page.context.new_page()
    other.goto(page.url)
    other.wait_for_selector(".welcome")
    other.wait_for_timeout(2000)
    assert other.locator(".panels").is_hidden()


def test_photograph_from_the_camera(page):
    page.get_by_role("button", name="Use the camera").click()
    dialog = page.get_by_role("dialog", name="Photograph from the camera")
    dialog.get_by_role("button", name="Cancel").click()
    dialog.wait_for(state="detached")
    page.get_by_role("button", name="Use the camera").click()
    take = page.get_by_role("button", name="Take the photograph")
    page.wait_for_selector(".webcam .take:enabled")
    take.click()
    picture, _ = shown(page)
    assert picture.shape == (480, 640, 3)
    assert page.get_by_text("webcam.jpg, 640 × 480 pixels").is_visible()


def test_video_is_reconstructed_and_played(page, portrait, tmp_path):
    path, frame = tmp_path / "film.mp4", np.asarray(Image.open(portrait).convert("RGB").crop((100, 60, 440, 400)))
    with film_writer(path, 340, 340, 10.0) as write:
        for number in range(10):
            write(np.roll(frame, number, axis=1), number / 10)
    page.set_input_files("input[type=file]", {"name": "a.mp4", "mimeType": "video/mp4", "buffer": path.read_bytes()})
    page.get_by_role("progressbar", name="Progress").wait_for()
    page.wait_for_function("() => document.querySelector('video.film')?.readyState >= 2")
    size = page.evaluate(
        "() => { const film = document.querySelector('video.film'); return [film.videoWidth, film.duration]; }"
    )
    assert size[0] == 3 * 340
    assert size[1] == pytest.approx(1.0, abs=0.15)
    page.evaluate("() => { const film = document.querySelector('video.film'); film.muted = true; return film.play(); }")
    assert wait_for(lambda: page.evaluate("() => document.querySelector('video.film').currentTime") > 0.2, page)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Animated GLB").click()
    assert Path(waiting.value.path()).read_bytes().startswith(b"glTF")
    page.get_by_role("button", name="Close the video").click()
    page.locator(".panel.video").wait_for(state="hidden")


def test_video_without_a_face_is_told(page, tmp_path):
    path = tmp_path / "film.mp4"
    with film_writer(path, 128, 128, 10.0) as write:
        for number in range(3):
            write(np.full((128, 128, 3), 80, np.uint8), number / 10)
    page.set_input_files("input[type=file]", {"name": "a.mp4", "mimeType": "video/mp4", "buffer": path.read_bytes()})
    page.get_by_role("alert").filter(has_text="a.mp4: no face was found in the 3 frames of a.mp4").wait_for()


def brightness(page) -> float:
    picture = Image.open(io.BytesIO(page.screenshot())).convert("L")
    return float(np.asarray(picture).mean())


def test_light_and_dark(open_page, portrait):
    """As the system has it, until the visitor chooses, who is remembered."""
    light, dark = (open_page(color_scheme=scheme) for scheme in ("light", "dark"))
    assert brightness(light) > 200
    assert brightness(dark) < 60
    upload(dark, portrait.read_bytes(), "a.jpg")
    shown(dark)
    assert brightness(dark) < 90
    dark.get_by_role("button", name="Light or dark").click()
    assert wait_for(lambda: brightness(dark) > 150, dark)
    dark.reload()
    shown(dark)
    assert wait_for(lambda: brightness(dark) > 150, dark)


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_cut_off(open_page, portrait, width):
    page = open_page(width, 800, has_touch=width < 500)
    for ready in (None, ".panels"):
        if ready:
            upload(page, portrait.read_bytes(), "a.jpg")
            shown(page)
        assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
        beyond = """() => [...document.querySelectorAll("button, .row-slider, .stage, .photo-view, .mesh-view")]
            .map(each => [each, each.getBoundingClientRect()])
            .filter(([, box]) => box.width && (box.left < 0 || box.right > window.innerWidth + 0.5))
            .map(([each]) => each.outerHTML.slice(0, 80))"""
        assert page.evaluate(beyond) == []
    for view in (".photo-view", ".mesh-view"):
        box = page.locator(view).first.bounding_box()
        assert min(box["width"], box["height"]) > 250
