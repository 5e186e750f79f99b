"""What the tests of the page do in its browser."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

FRAME = 4  # pixels


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
    return pixels_of(page, page.locator(".photo-view").first.get_attribute("data-shown")), version


def pixels_of(page, address: str) -> np.ndarray:
    content = page.request.get("/".join(page.url.split("/")[:3]) + address, timeout=60_000).body()
    return np.asarray(Image.open(io.BytesIO(content)), dtype=np.int64)


def view_pixels(page, view: str) -> np.ndarray:
    """What is on the screen of one of the two views."""
    picture = page.locator(view).first.screenshot()
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), dtype=np.int64)


def mesh_pixels(page) -> np.ndarray:
    """Without the frame that it has once keys turn it."""
    return view_pixels(page, "canvas")[FRAME:-FRAME, FRAME:-FRAME]


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


def wait_for(holds, page, seconds: float = 30) -> bool:
    """Whether something comes to hold while the page goes on."""
    for _ in range(round(10 * seconds)):
        if holds():
            return True
        page.wait_for_timeout(100)
    return False
