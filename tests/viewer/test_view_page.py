"""The page in a headless Chromium: what a visitor sees and gets."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import trimesh
from odd_files import bad_files, bomb, encoded, good_files
from PIL import Image

from mofa3d.viewer.uploads import plain_name

pytest.importorskip("nicegui", reason="the page's package is missing: pip install 'mofa3d[view]'")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install 'mofa3d[test]'")

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# WebGL by software, for machines without a GPU.
OPTIONS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
PATIENCE = 60_000  # milliseconds, on a busy machine


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    found = os.environ.get("MOFA3D_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    with playwright.sync_playwright() as engine:
        path = found or engine.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("no Chromium was found: install one, or set MOFA3D_CHROMIUM to its path")
        browser = engine.chromium.launch(executable_path=path, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(default_model, tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """The page's address, and the folder that the server was started in."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "temporary").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "temporary")}
    command = [sys.executable, "-m", "mofa3d", "view", "--port", "0", "--max-megabytes", "3"]
    with (folder / "errors").open("w") as errors:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    line = process.stdout.readline()
    assert line.startswith("The page is at http://127.0.0.1:"), (folder / "errors").read_text()
    yield line.split()[4], folder
    assert process.poll() is None
    process.terminate()
    process.wait(timeout=30)


@pytest.fixture
def page(browser, server) -> Iterator[object]:
    """The page in a window of its own; what went wrong in the browser, and all that it asked for, is noted."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.troubles, page.asked = [], []
    page.on("pageerror", lambda error: page.troubles.append(str(error)))
    page.on("console", lambda message: page.troubles.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("websocket", lambda socket: page.asked.append(socket.url))
    page.goto(server[0])
    page.wait_for_selector(".welcome")
    yield page
    assert page.troubles == []
    context.close()


def upload(page, content: bytes, name: str) -> None:
    page.set_input_files("input[type=file]", {"name": name, "mimeType": "image/jpeg", "buffer": content})


def shown(page, after: int = 0) -> tuple[np.ndarray, int]:
    """The picture and its version, once it and the mesh are of the same one, later than another."""
    script = """after => {
        const photo = document.querySelector(".photo-view[data-shown]");
        const mesh = document.querySelector(".mesh-view[data-shown]");
        if (!mesh || !photo) return null;
        const versions = [photo, mesh].map(each => Number(each.dataset.shown.match(/version=([0-9]+)/)[1]));
        return versions[0] === versions[1] && versions[0] > after ? versions[0] : null;
    }"""
    version = page.wait_for_function(script, arg=after).json_value()
    return pixels_of(page, page.locator(".photo-view").get_attribute("data-shown")), version


def pixels_of(page, address: str) -> np.ndarray:
    content = page.request.get("/".join(page.url.split("/")[:3]) + address).body()
    return np.asarray(Image.open(io.BytesIO(content)), dtype=np.int64)


def view_pixels(page, view: str) -> np.ndarray:
    """What is on the screen of one of the two views."""
    picture = page.locator(view).screenshot()
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), dtype=np.int64)


def mesh_pixels(page) -> np.ndarray:
    return view_pixels(page, "canvas")


def differ(one: np.ndarray, other: np.ndarray) -> float:
    """The share of pixels that are clearly not the same."""
    return float((np.abs(one - other).sum(axis=-1) > 60).mean())


def drag_to(page, label: str, share: float) -> None:
    """Click a slider at a share of its length."""
    knob = page.get_by_label(label, exact=True)
    knob.scroll_into_view_if_needed()
    box = knob.bounding_box()
    page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)


def look(page, option: str, ready: str) -> None:
    """Press one of the options above a view, and wait until it shows what its address has to contain."""
    page.get_by_role("button", name=option, exact=True).click()
    page.wait_for_selector(f"[data-shown*='{ready}']")


def test_visit(page, portrait, server):
    """Upload, look, move, reset, download."""
    upload(page, portrait.read_bytes(), "grace_hopper.jpg")
    first, version = shown(page)
    assert first.shape == (600, 512, 3)
    assert page.get_by_text("grace_hopper.jpg, 512 × 600 pixels").is_visible()
    photo = np.asarray(Image.open(portrait).convert("RGB"), dtype=np.int64)
    assert np.abs(first - photo)[300:].mean() < 6 < np.abs(first - photo)[130:300, 190:340].mean()
    mesh = mesh_pixels(page)
    assert 0.1 < (np.ptp(mesh, axis=-1) > 12).mean() < 0.9  # skin, on grey

    drag_to(page, "Turn left / right", 0.7)
    turned, version = shown(page, version)
    assert differ(turned, first) > 0.01
    assert differ(mesh_pixels(page), mesh) > 0.02
    assert page.get_by_text(re.compile("^2[2-6]°$")).is_visible()

    page.get_by_role("button", name="Reset").click()
    assert np.array_equal(shown(page, version)[0], first)

    with page.expect_download() as waiting:
        page.get_by_role("button", name="GLB").click()
    path = Path(waiting.value.path())
    assert waiting.value.suggested_filename == "face.glb"
    face = trimesh.load(io.BytesIO(path.read_bytes()), file_type="glb", force="mesh", process=False)
    assert len(face.faces) > 50_000
    assert 0.12 < np.ptp(face.vertices[:, 0]) < 0.25  # metres across
    for name, start in (("OBJ", b"PK"), ("PLY", b"ply"), ("Code", b"{"), ("Overlay", b"\x89PNG")):
        with page.expect_download() as waiting:
            page.locator(".saves").get_by_role("button", name=name, exact=True).click()
        assert Path(waiting.value.path()).read_bytes().startswith(start)

    # Nothing came from elsewhere.
    assert len(page.asked) > 20
    own = server[0].split("//")[1]
    assert {address.split("/")[2] for address in page.asked if not address.startswith(("data:", "blob:"))} == {own}


def test_looks_of_the_3d_view(page, portrait):
    """The photograph's texture first, the model's colors, clay, and edges over any of them; the keys turn it."""
    upload(page, portrait.read_bytes(), "a.jpg")
    shown(page)
    views = {"Texture": mesh_pixels(page)}
    glasses = views["Texture"][:, :, :].min(axis=-1) < 60  # the photograph's, which no model has
    assert glasses.mean() > 0.01
    for option, ready in {"Model": "look=lit", "Skin": "look=skin", "Clay": "look=shape"}.items():
        look(page, option, ready)
        views[option] = mesh_pixels(page)
        assert (views[option].min(axis=-1) < 60).mean() < 0.5 * glasses.mean()
        assert min(differ(views[option], view) for name, view in views.items() if name != option) > 0.01, option
    assert np.ptp(views["Clay"], axis=-1).max() < 25
    page.get_by_role("switch", name="Wireframe").click()
    page.wait_for_timeout(200)
    edges = mesh_pixels(page)
    assert np.abs(edges - views["Clay"]).mean() > 1
    page.locator(".mesh-view").focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    assert differ(mesh_pixels(page), edges) > 0.02
    page.keyboard.press("Home")
    assert differ(mesh_pixels(page), edges) < 0.005


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
    assert differ(half[80:-80, : middle - 20], whole[80:-80, : middle - 20]) > 0.02  # no face laid over on the left
    assert differ(half[80:-80, middle + 20 :], whole[80:-80, middle + 20 :]) < 0.002
    handle = page.get_by_role("slider", name="Before and after")
    for _ in range(30):
        handle.press("ArrowRight")
    assert handle.get_attribute("aria-valuenow") == "100"
    look(page, "Edited", "kind=edited")
    drag_to(page, "Turn left / right", 0.7)
    edited, version = shown(page, version)
    assert differ(edited, picture) > 0.01
    page.locator(view).focus()
    for _ in range(6):
        page.keyboard.press("+")
    page.wait_for_selector(".photo-view[data-shown*='full=1']")  # all pixels, where they can be seen
    assert pixels_of(page, page.locator(view).get_attribute("data-shown")).shape == (1800, 1536, 3)
    zoomed = view_pixels(page, view)
    page.keyboard.press("ArrowRight")
    assert differ(view_pixels(page, view), zoomed) > 0.05
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


def test_messages_are_seen_and_can_be_closed(page, portrait):
    upload(page, b"x", "broken.jpg")
    error = page.get_by_role("alert")
    assert "broken.jpg is not an image" in error.inner_text()
    error.get_by_role("button", name="Close this message").click()
    error.wait_for(state="hidden")
    page.set_input_files("input[type=file]", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"text"})
    page.locator(".banner", has_text="a.txt cannot be taken; choose one photograph: JPEG, HEIC").wait_for()
    assert page.locator("input[type=file]").get_attribute("accept").startswith("image/*,.heic")
    upload(page, encoded(Image.open(portrait).convert("RGB").resize((96, 112)), "PNG"), "small.png")
    notice = page.get_by_role("status").filter(has_text="pixels large; the result may be poor")
    notice.wait_for()
    assert error.is_hidden()
    notice.get_by_role("button", name="Close this message").click()
    notice.wait_for(state="hidden")


def test_visitors_do_not_see_each_other(page, browser, server, portrait):
    upload(page, portrait.read_bytes(), "mine.jpg")
    shown(page)
    other = browser.new_page()
    other.set_default_timeout(PATIENCE)
    other.goto(server[0])
    other.wait_for_selector(".welcome")
    assert other.locator(".panels").is_hidden()
    assert "mine.jpg" not in other.content()
    answer = other.request.get(f"{server[0]}/sessions/unknown/picture")
    assert (answer.status, "no longer open" in answer.text()) == (404, True)
    other.close()


def test_file_may_be_dropped(page, portrait):
    script = """async (bytes) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "dropped.jpg", { type: "image/jpeg" }));
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    }"""
    page.evaluate(script, list(portrait.read_bytes()))
    shown(page)
    assert page.get_by_text("dropped.jpg, 512 × 600 pixels").is_visible()


def test_large_files_are_refused_before_they_are_sent_and_by_the_server(page, server):
    upload(page, b"x", "small.jpg")
    page.locator(".banner", has_text="small.jpg is not an image that can be read").wait_for()
    [address] = [address for address in page.asked if "/upload/" in address]
    upload(page, bytes(4_000_000), "large.jpg")
    message = "large.jpg has 4.0 MB, more than the 3 MB that are taken; make it smaller"
    page.locator(".banner", has_text=message).wait_for()
    assert [asked for asked in page.asked if "/upload/" in asked] == [address]
    file = {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": bytes(4_000_000)}
    assert page.request.post(address, multipart={"file": file}).status == 413


def test_hundred_odd_files(page, server, portrait):
    """Every one is answered in the page, nothing stays on the disk, and photographs are served as ever."""
    _, folder = server
    face = Image.open(portrait).crop((100, 60, 440, 400)).resize((160, 160))
    bad = {f"<img src=x> {name}": content for name, content in bad_files(face).items()}
    bad |= {"../../outside.png": bomb(19_000), "x" * 200 + ".jpg": b"x", "ü\u202e gpj.exe": b"MZ" * 100}
    bad |= {"large noise.bmp": encoded(noise(900), "BMP"), "large text.jpg": b"text " * 500_000}
    assert len(bad) >= 110
    for name, content in bad.items():
        upload(page, content, name)
        answer = page.locator(".banner", has_text=plain_name(name))
        answer.wait_for()
        said = answer.inner_text().split("\n")[-1]
        assert said.startswith(plain_name(name))
        assert len(plain_name(name)) + 15 < len(said) < 300
    assert page.locator(".banner img").count() == 0
    for name, content in good_files(face).items():
        if " 0." in name:
            upload(page, content, name)
            page.locator(".hint", has_text=f"{plain_name(name)}, 160 × 160 pixels").wait_for()
            assert page.locator(".banner").is_hidden()
    assert {path.name for path in folder.iterdir()} == {"temporary", "errors"}
    assert [path for path in (folder / "temporary").rglob("*") if path.is_file()] == []  # PyTorch makes empty folders
    assert (folder / "errors").read_text() == ""


def noise(side: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))
