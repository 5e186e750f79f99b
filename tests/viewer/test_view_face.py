"""The page in a headless Chromium: what a visitor sees of a face, and changes about it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from browsed_page import differ, drag_to, look, mesh_pixels, pixels_of, shown, upload, view_pixels, wait_for
from odd_files import encoded
from PIL import Image

pytest.importorskip("nicegui", reason="the page's package is missing: pip install 'mofa3d[view]'")

pytestmark = pytest.mark.slow


def test_looks_of_the_3d_view(page, portrait):
    """The photograph's texture first, the model's colors, clay, and edges over any of them; the keys turn it."""
    upload(page, portrait.read_bytes(), "a.jpg")
    shown(page)
    views = {"Texture": mesh_pixels(page)}
    glasses = views["Texture"].max(axis=-1) < 60  # the photograph's, which no model has
    assert glasses.mean() > 0.01
    for option, ready in {"Model": "look=lit", "Skin": "look=skin", "Clay": "look=shape"}.items():
        look(page, option, ready)
        views[option] = mesh_pixels(page)
        assert (views[option].max(axis=-1) < 60).mean() < 0.5 * glasses.mean()
        # White light changes few colors much, but all of them somewhat.
        assert min(np.abs(views[option] - view).mean() for name, view in views.items() if name != option) > 0.5, option
    assert np.ptp(views["Clay"], axis=-1).max() < 25
    page.get_by_role("switch", name="Wireframe").click()
    page.wait_for_timeout(200)
    edges = mesh_pixels(page)
    assert np.abs(edges - views["Clay"]).mean() > 1
    page.locator(".mesh-view").first.focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    # What was drawn comes to the screen a little later.
    assert wait_for(lambda: differ(mesh_pixels(page), edges) > 0.02, page)
    page.keyboard.press("Home")
    assert wait_for(lambda: differ(mesh_pixels(page), edges) < 0.005, page)


def test_steps_can_be_taken_back(page, portrait):
    """By buttons and by keys; sliders have names, and those of the model's coefficients come last."""
    upload(page, portrait.read_bytes(), "a.jpg")
    first, version = shown(page)
    undo, redo = (page.get_by_role("button", name=name, exact=True) for name in ("Undo", "Redo"))
    assert undo.is_disabled()
    drag_to(page, "Smile", 0.9)
    smile, version = shown(page, version)
    page.get_by_text("Shape of the face").click()
    drag_to(page, "Jaw width", 0.95)
    jaw, version = shown(page, version)
    assert page.get_by_text(re.compile(r"^1[01]\.\d mm$")).is_visible()
    assert differ(jaw, smile) > 0.002
    undo.click()
    picture, version = shown(page, version)
    assert np.array_equal(picture, smile)
    page.keyboard.press("Control+z")
    picture, version = shown(page, version)
    assert np.array_equal(picture, first)
    assert undo.is_disabled()
    page.keyboard.press("Control+Shift+Z")
    page.keyboard.press("Control+y")
    page.wait_for_function("() => document.querySelector('[data-key=redo]').disabled")
    assert np.array_equal(shown(page, version + 1)[0], jaw)
    assert redo.is_disabled()
    assert not page.get_by_label("Shape 1", exact=True).is_visible()


def test_photograph_is_zoomed_and_compared(page, portrait):
    large = Image.open(portrait).convert("RGB").resize((1536, 1800))
    upload(page, encoded(large, "JPEG"), "large.jpg")
    picture, version = shown(page)
    assert picture.shape == (1024, 874, 3)
    view, whole = ".photo-view", view_pixels(page, ".photo-view")
    page.get_by_role("switch", name="Compare").click()
    page.wait_for_selector(".before[src]")
    page.wait_for_timeout(300)
    half = view_pixels(page, view)
    middle = half.shape[1] // 2
    assert differ(half[80:-80, : middle - 20], whole[80:-80, : middle - 20]) > 0.003  # no face laid over on the left
    assert differ(half[80:-80, middle + 20 :], whole[80:-80, middle + 20 :]) < 0.002
    handle = page.get_by_role("slider", name="Before and after")
    for _ in range(30):
        handle.press("ArrowRight")
    assert handle.get_attribute("aria-valuenow") == "100"
    look(page, "Edited", "kind=edited")
    drag_to(page, "Turn left / right", 0.7)
    edited, version = shown(page, version)
    assert differ(edited, picture) > 0.01
    page.locator(view).first.focus()
    for _ in range(6):
        page.keyboard.press("+")
    page.wait_for_selector(".photo-view[data-shown*='full=1']")  # all pixels, where they can be seen
    assert pixels_of(page, page.locator(view).first.get_attribute("data-shown")).shape == (1800, 1536, 3)
    zoomed = view_pixels(page, view)
    page.keyboard.press("ArrowRight")
    assert differ(view_pixels(page, view), zoomed) > 0.02
    page.get_by_role("button", name="Whole photograph").click()
    assert page.evaluate("() => document.querySelector('.photo-view.zoomed')") is None


def test_every_face_has_a_thumbnail(page, portrait):
    face = Image.open(portrait).convert("RGB")
    both = Image.new("RGB", (2 * face.width, face.height))
    both.paste(face, (0, 0))
    both.paste(face.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (face.width, 0))
    upload(page, encoded(both, "PNG"), "two.png")
    first, version = shown(page)
    buttons = page.get_by_role("group", name="Faces of the photograph").get_by_role("button")
    assert buttons.count() == 2
    assert page.locator(".face img").first.evaluate("image => image.naturalWidth") == 96
    buttons.nth(1).click()
    second, version = shown(page, version)
    assert differ(second, first) > 0.01
    assert [buttons.nth(i).get_attribute("aria-pressed") for i in range(2)] == ["false", "true"]
    page.locator(".photo-view polygon").nth(0).click()
    assert np.array_equal(shown(page, version)[0], first)


def test_lamp_is_dragged(page, portrait):
    upload(page, portrait.read_bytes(), "a.jpg")
    _, version = shown(page)
    mesh, lamp = mesh_pixels(page), page.locator(".lamp").bounding_box()
    page.mouse.move(lamp["x"] + 0.5 * lamp["width"], lamp["y"] + 0.5 * lamp["height"])
    page.mouse.down()
    page.mouse.move(lamp["x"] + 0.15 * lamp["width"], lamp["y"] + 0.5 * lamp["height"], steps=3)
    page.mouse.up()
    _, version = shown(page, version)
    page.wait_for_selector(".bulb.lit")
    page.get_by_text("Light", exact=True).click()
    assert page.get_by_text(re.compile("^−[67]\\d°$")).is_visible()  # the slider says where the lamp is
    middle = mesh.shape[1] // 2
    lit, dark = (mesh_pixels(page)[:, part].mean() for part in (slice(middle), slice(middle, None)))
    assert lit > dark + 3
    page.get_by_role("button", name="Undo", exact=True).click()
    shown(page, version)
    assert differ(mesh_pixels(page), mesh) < 0.002


def test_face_is_refined_and_goes_back(page, portrait):
    upload(page, portrait.read_bytes(), "a.jpg")
    first, version = shown(page)
    page.get_by_role("switch", name="Refine").click()
    refined, version = shown(page, version)
    assert not np.array_equal(refined, first)
    page.keyboard.press("Control+z")
    back, version = shown(page, version)
    assert np.array_equal(back, first)
    assert page.get_by_role("switch", name="Refine").get_attribute("aria-checked") == "false"


def test_two_photographs_side_by_side(page, portrait):
    upload(page, portrait.read_bytes(), "a.jpg")
    _, version = shown(page)
    assert page.locator(".mesh-view").nth(1).is_hidden()
    page.get_by_role("button", name="Keep this face beside the next").click()
    version = shown(page, version)[1]
    mirrored = Image.open(portrait).convert("RGB").transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    upload(page, encoded(mirrored, "PNG"), "b.png")
    shown(page, version)
    page.wait_for_function("() => document.querySelectorAll('[data-shown]').length === 4")
    for view in (".mesh-view", ".photo-view"):
        boxes = [page.locator(view).nth(i).bounding_box() for i in range(2)]
        assert min(box["width"] * box["height"] for box in boxes) > 50_000
    addresses = [page.locator(".photo-view").nth(i).get_attribute("data-shown") for i in range(2)]
    one, other = (pixels_of(page, address) for address in addresses)
    assert differ(one, other) > 0.2
    assert differ(one, other[:, ::-1]) < 0.15
    page.get_by_role("button", name="Keep this face beside the next").click()
    page.locator(".mesh-view").nth(1).wait_for(state="hidden")
