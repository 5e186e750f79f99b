"""The page in a headless Chromium: what comes in and goes out, and who may see it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
import trimesh
from browsed_page import differ, drag_to, mesh_pixels, shown, upload
from odd_files import bad_files, bomb, encoded, good_files
from PIL import Image

from mofa3d.viewer.downloads import FILES
from mofa3d.viewer.uploads import plain_name

pytest.importorskip("nicegui", reason="the page's package is missing: pip install 'mofa3d[view]'")

pytestmark = pytest.mark.slow


PATIENCE = 60_000  # milliseconds, on a busy machine


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

    content = download(page, "face.glb")
    face = trimesh.load(io.BytesIO(content), file_type="glb", force="mesh", process=False)
    assert len(face.faces) > 50_000
    assert 0.12 < np.ptp(face.vertices[:, 0]) < 0.25  # metres across
    assert face.visual.material.baseColorTexture.size == (1024, 1024)
    starts = {".zip": b"PK", ".ply": b"ply", ".json": b"{", ".png": b"\x89PNG", ".glb": b"glTF", ".csv": b"Timecode"}
    starts[".mp4"] = b"\0\0\0"
    for name in FILES:
        if name != "face.glb":
            assert download(page, name).startswith(starts[Path(name).suffix]), name

    # Nothing came from elsewhere.
    assert len(page.asked) > 20
    own = server[0].split("//")[1]
    assert {address.split("/")[2] for address in page.asked if not address.startswith(("data:", "blob:"))} == {own}


def test_messages_are_seen_and_can_be_closed(page, portrait):
    upload(page, b"x", "broken.jpg")
    error = page.get_by_role("alert")
    assert "broken.jpg is not an image" in error.inner_text()
    error.get_by_role("button", name="Close this message").click()
    error.wait_for(state="hidden")
    page.set_input_files("input[type=file]", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"text"})
    page.locator(".banner", has_text="a.txt cannot be taken; choose one photograph: JPEG, HEIC").wait_for()
    assert page.locator("input[type=file]").get_attribute("accept").startswith("image/*,video/*,.heic")
    upload(page, encoded(Image.open(portrait).convert("RGB").resize((80, 94)), "PNG"), "small.png")
    notice = page.get_by_role("status").filter(has_text="pixels large; the result may be poor")
    notice.wait_for()
    assert error.is_hidden()
    notice.get_by_role("button", name="Close this message").click()
    notice.wait_for(state="hidden")


def download(page, name: str) -> bytes:
    """One of the files in the menu."""
    page.get_by_role("button", name="Download").click()
    with page.expect_download() as waiting:
        page.locator(".files .q-item", has_text=f"{name}:").click()
    assert waiting.value.suggested_filename == name
    return Path(waiting.value.path()).read_bytes()


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
        answer = page.locator(".banner.error .said", has_text=plain_name(name))
        answer.wait_for()
        said = answer.inner_text()
        assert said.startswith(plain_name(name))
        assert len(plain_name(name)) + 15 < len(said) < 300
    assert page.locator(".banner img").count() == 0
    for name, content in good_files(face).items():
        if " 0." in name:
            upload(page, content, name)
            page.locator(".hint", has_text=f"{plain_name(name)}, 160 × 160 pixels").wait_for()
            assert page.locator(".banner.error").is_hidden()
    assert {path.name for path in folder.iterdir()} == {"temporary", "errors"}
    assert [path for path in (folder / "temporary").rglob("*") if path.is_file()] == []  # PyTorch makes empty folders
    assert (folder / "errors").read_text() == ""


def noise(side: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))
