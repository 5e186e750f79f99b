"""The page's server in a thread of its own, for tests that send it raw requests."""

from __future__ import annotations

import gc
import html
import re
import socket
import threading
import time

import httpx
from lively_encoders import lively
from tiny_model import make_tiny_model

from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.export.face_textures import FaceTextures
from mofa3d.reconstruction.options import OutputOptions
from mofa3d.reconstruction.reconstructor import Reconstructor
from mofa3d.reconstruction.writer import ReconstructionWriter
from mofa3d.renderers import make_renderer
from mofa3d.renderers.cpu_rasterizer import rasterize
from mofa3d.viewer.downloads import Downloads
from mofa3d.viewer.guard import Guard
from mofa3d.viewer.page import Page
from mofa3d.viewer.server import address, listen, make_server
from mofa3d.viewer.session import Session
from mofa3d.viewer.tools import Tools
from mofa3d.viewer.uploads import Limits

PATIENCE = 0.6  # seconds
LIMITS = Limits(megabytes=1.5, patience=PATIENCE, uploads=3, waiting=2, sessions=6, connections=40, kept=0.5)
FORM = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\nno photograph\r\n--b--\r\n'
MULTIPART = "multipart/form-data; boundary=b"


class Held(Reconstructor):
    """Reconstructs, and can be made to take its time."""

    def __init__(self, reconstruct: Reconstructor) -> None:
        vars(self).update(vars(reconstruct))
        self._reconstruct = reconstruct
        self.free = threading.Event()
        self.free.set()

    def __call__(self, *args: object, **options: object) -> list:
        assert self.free.wait(60)
        return self._reconstruct(*args, **options)


class Served:
    """A running server, and what it wrote into its log."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self.listening = listen("127.0.0.1", 0)
        self.address, self.port = address(self.listening), self.listening.getsockname()[1]
        self.server = make_server(tools)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listening]}, daemon=True)
        self.thread.start()
        self.written: list[str] = []
        while not self.server.started:
            time.sleep(0.01)

    def get(self, path: str = "/", **headers: str) -> httpx.Response:
        return httpx.get(
            self.address + path, headers={name.replace("_", "-"): v for name, v in headers.items()}, timeout=60
        )

    def upload_path(self) -> str:
        """Of a session of its own, that nobody shows."""
        return re.search(r"/_nicegui/client/[\w-]+/upload/\d+", html.unescape(self.get().text))[0]

    def send(self, content: bytes, name: str = "a.jpg", path: str = "", **headers: str) -> httpx.Response:
        form = {"photo": (name, content)}
        return httpx.post(self.address + (path or self.upload_path()), files=form, headers=headers, timeout=60)

    def post(self, body: bytes, kind: str = MULTIPART, path: str = "") -> httpx.Response:
        return httpx.post(self.address + (path or self.upload_path()), content=body, headers={"Content-Type": kind})

    def connect(self, *lines: str, body: bytes = b"") -> socket.socket:
        """A raw connection after these lines of a request."""
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        raw.sendall("\r\n".join(lines).encode("latin-1") + body)
        return raw

    def start_upload(self, path: str, length: int = 100_000, host: str = "localhost") -> socket.socket:
        lines = (f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Type: {MULTIPART}", f"Content-Length: {length}")
        return self.connect(*lines, "", "", body=FORM[:60])


def make_served() -> Served:
    """A server of faces of the tiny model."""
    model, render = make_tiny_model(), make_renderer("cpu")
    reconstruct = Reconstructor(lively("mobilenet_v2", 32), Decoder(model, Camera(96)), runtime="torch")
    writer = ReconstructionWriter(FaceTextures(model, rasterize), render, OutputOptions(texture="none"))
    served = Served(Tools(reconstruct, render, Downloads(writer), LIMITS))
    object.__setattr__(served.tools, "reconstruct", Held(reconstruct))
    return served


def status(raw: socket.socket) -> int:
    """Of the answer; 0 if the connection was closed without one."""
    try:
        answer = raw.recv(1000)
    except ConnectionResetError:
        return 0
    return int(answer.split()[1]) if answer else 0


def eventually(holds, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def living(kind: type) -> list:
    gc.collect()
    return [thing for thing in gc.get_objects() if type(thing) is kind]


def sessions() -> list[Session]:
    return [session for session in living(Session) if not session.closed]


def uploads() -> int:
    """How many the server has at once."""
    return max(guard.uploads for guard in living(Guard))


def page_of(path: str) -> Page:
    """What belongs to the address of an upload."""
    return next(page for page in living(Page) if page.uploader.element.props["url"] == path)
