"""Running servers of the page, a browser for it, a session without either, and a photograph of a face."""

from __future__ import annotations

import gc
import io
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lively_encoders import lively
from odd_files import encoded
from PIL import Image

from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.export.face_textures import FaceTextures
from mofa3d.reconstruction.options import OutputOptions
from mofa3d.reconstruction.reconstructor import Reconstructor
from mofa3d.reconstruction.writer import ReconstructionWriter
from mofa3d.renderers import make_renderer
from mofa3d.renderers.cpu_rasterizer import rasterize
from mofa3d.viewer.downloads import Downloads
from mofa3d.viewer.session import Session
from mofa3d.viewer.tools import Tools
from mofa3d.viewer.uploads import Limits

if TYPE_CHECKING:
    from served_page import Served

ROOT = Path(__file__).parents[2]
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# WebGL by software, for machines without a GPU, and a camera that shows a file.
OPTIONS = [
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]
PATIENCE = 60_000  # milliseconds, on a busy machine


@pytest.fixture(scope="session")
def running() -> Iterator[Served]:
    """NiceGUI serves once in a process."""
    from served_page import make_served  # here: tests without the page's package are skipped

    # Tests look for pages among all objects. Those of thousands of tests before would take seconds each time, and in a
    # minute the server forgets pages that no browser shows.
    gc.collect()
    gc.freeze()
    served = make_served()
    yield served
    served.server.should_exit = True
    served.thread.join(timeout=20)
    gc.unfreeze()


@pytest.fixture
def served(running) -> Iterator[Served]:
    """It goes on after every attack, and has nothing to complain of."""
    running.written.clear()
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: running.written.append(record.getMessage() + str(record.exc_info or ""))
    loggers = [logging.getLogger(name) for name in ("", "uvicorn")]  # what goes to one does not go to the other
    for logger in loggers:
        logger.addHandler(handler)
    yield running
    assert running.get().status_code == 200
    for logger in loggers:
        logger.removeHandler(handler)
    assert running.written == []


@pytest.fixture(scope="module")
def face(portrait) -> bytes:
    picture = Image.open(portrait).convert("RGB").crop((100, 60, 440, 400)).resize((200, 200))
    return encoded(picture, "PNG")


@pytest.fixture(scope="session")
def browser(portrait, tmp_path_factory) -> Iterator[object]:
    """A headless Chromium whose camera sees the portrait."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install 'mofa3d[test]'")
    found = os.environ.get("MOFA3D_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUMS)), None)
    camera = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    file = io.BytesIO()
    Image.open(portrait).convert("RGB").crop((0, 0, 512, 384)).resize((640, 480)).save(file, "JPEG")
    camera.write_bytes(10 * file.getvalue())
    with playwright.sync_playwright() as engine:
        path = found or engine.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("no Chromium was found: install one, or set MOFA3D_CHROMIUM to its path")
        options = [*OPTIONS, f"--use-file-for-fake-video-capture={camera}"]
        browser = engine.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
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
def open_page(browser, server) -> Iterator[object]:
    """Opens the page in windows of their own; what goes wrong in the browser, and all that it asks for, is noted."""
    contexts = []

    def open_one(width: int = 1400, height: int = 900, **options: object):
        context = browser.new_context(
            viewport={"width": width, "height": height}, accept_downloads=True, permissions=["camera"], **options
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.troubles, page.asked = [], []
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.on("console", lambda message: page.troubles.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("websocket", lambda socket: page.asked.append(socket.url))
        page.goto(server[0])
        page.wait_for_selector(".welcome")
        return page

    yield open_one
    for context in contexts:
        assert [trouble for page in context.pages for trouble in getattr(page, "troubles", [])] == []
        context.close()


@pytest.fixture
def page(open_page) -> object:
    return open_page()


@pytest.fixture
def tools(tiny_model) -> Tools:
    render = make_renderer("cpu")
    reconstruct = Reconstructor(lively("mobilenet_v2", 32), Decoder(tiny_model, Camera(240)), runtime="torch")
    writer = ReconstructionWriter(FaceTextures(tiny_model, rasterize), render, OutputOptions(texture="none"))
    return Tools(reconstruct, render, Downloads(writer), Limits())


@pytest.fixture
def session(tools, portrait) -> Session:
    session = Session(tools)
    session.open(portrait.read_bytes(), "../grace_hopper.jpg")
    return session


@pytest.fixture
def sliders(tools):
    return {slider.name: slider for group in tools.sliders for slider in group.sliders}
