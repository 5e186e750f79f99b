"""The page's server against what is not a browser that shows the page: raw requests to a real one."""

from __future__ import annotations

import contextlib
import gc
import html
import json
import logging
import re
import socket
import threading
import time
import weakref
from collections.abc import Iterator

import pytest

pytest.importorskip("nicegui", reason="the page's package is missing: pip install 'mofa3d[view]'")

import httpx
import numpy as np
from lively_encoders import lively
from odd_files import bad_files, bomb, encoded
from PIL import Image
from tiny_model import make_tiny_model
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

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
from mofa3d.viewer.session import Session, Tools
from mofa3d.viewer.uploads import Limits

PATIENCE = 0.6  # seconds
LIMITS = Limits(megabytes=1.5, patience=PATIENCE, uploads=3, waiting=2, sessions=6, connections=40)
FORM = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\nno photograph\r\n--b--\r\n'
MULTIPART = "multipart/form-data; boundary=b"


class Held:
    """Reconstructs, and can be made to take its time."""

    def __init__(self, reconstruct: Reconstructor) -> None:
        self._reconstruct, self.decode = reconstruct, reconstruct.decode
        self.free = threading.Event()
        self.free.set()

    def __call__(self, *args: object, **options: object) -> list:
        assert self.free.wait(60)
        return self._reconstruct(*args, **options)


class Served:
    """A running server, and what it wrote into its log."""

    def __init__(self, tools: Tools) -> None:
        from mofa3d.viewer.server import address, listen, make_server

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
        return httpx.get(self.address + path, headers={name.replace("_", "-"): v for name, v in headers.items()})

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


@pytest.fixture(scope="module")
def running() -> Iterator[Served]:
    model, render = make_tiny_model(), make_renderer("cpu")
    reconstruct = Reconstructor(lively("mobilenet_v2", 32), Decoder(model, Camera(240)), runtime="torch")
    writer = ReconstructionWriter(FaceTextures(model, rasterize), render, OutputOptions(texture="none"))
    served = Served(Tools(reconstruct, render, Downloads(writer), LIMITS))
    object.__setattr__(served.tools, "reconstruct", Held(reconstruct))
    yield served
    served.server.should_exit = True
    served.thread.join(timeout=20)


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
    return next(page for page in living(Page) if page.uploader.props["url"] == path)


class TestOtherSites:
    def test_rebound_names(self, served):
        assert served.get(Host=f"localhost:{served.port}").status_code == 200
        for path in ("/", "/triangles", "/_nicegui_ws/socket.io/?EIO=4&transport=polling", "/sessions/x/picture"):
            answer = served.get(path, Host=f"evil.example:{served.port}")
            assert answer.status_code == 400
            assert "no name evil.example" in answer.text

    @pytest.mark.parametrize("origin", ["null", "https://evil.example", "http://localhost:1"])
    def test_forms_and_sockets(self, served, face, origin):
        path = served.upload_path()
        assert served.send(face, path=path, Origin=origin).status_code == 403
        polling = "/_nicegui_ws/socket.io/?EIO=4&transport=polling"
        answer = served.get(polling, Origin=origin)
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
        preflight = httpx.options(served.address + path, headers={"Origin": origin})
        assert preflight.status_code == 403
        assert served.send(face, path=path, Origin=served.address).status_code == 200

    @pytest.mark.parametrize(
        ("headers", "code"),
        [
            (("Origin: http://{own}",), 101),
            ((), 403),
            (("Origin: null",), 403),
            (("Origin: http://evil.example",), 403),
            (("Origin: http://{own}", "Origin: http://evil.example"), 400),
        ],
    )
    def test_websockets(self, served, headers, code):
        own = f"127.0.0.1:{served.port}"
        upgrade = (
            "GET /_nicegui_ws/socket.io/?EIO=4&transport=websocket HTTP/1.1",
            f"Host: {own}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        )
        with served.connect(*upgrade, *(line.format(own=own) for line in headers), "", "") as raw:
            assert status(raw) == code

    def test_nothing_may_be_embedded(self, served):
        headers = served.get().headers
        assert headers["content-security-policy"] == "frame-ancestors 'none'"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"
        assert served.get("/triangles", sec_fetch_site="cross-site", sec_fetch_mode="no-cors").status_code == 403


class TestForms:
    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (b"", MULTIPART),
            (b"anything", "text/plain"),
            (b"{}", "application/json"),
            (b"photo=1", "application/x-www-form-urlencoded"),
            (FORM, "multipart/form-data"),
            (FORM, "multipart/form-data; boundary="),
            (FORM, "multipart/form-data; boundary=other"),
            (FORM, "multipart/form-data; boundary=" + 300 * "b"),
            (FORM, MULTIPART + "; charset=undefined"),
            (FORM, MULTIPART + "; charset=punycode"),
            (b"anything", MULTIPART),
            (FORM[:40], MULTIPART),
            (FORM[:-7], MULTIPART),
            (FORM.replace(b'; filename="a.jpg"', b""), MULTIPART),
            (FORM.replace(b'name="photo"; ', b""), MULTIPART),
            (FORM.replace(b"a.jpg", 5000 * b"a"), MULTIPART),
            (FORM.replace(b"Content", b"\0"), MULTIPART),
            (FORM[:-7] + b"\r\n" + FORM, MULTIPART),
            (FORM[:-7] + FORM.replace(b'; filename="a.jpg"', b""), MULTIPART),
        ],
    )
    def test_malformed_ones_get_400(self, served, body, kind):
        answer = served.post(body, kind)
        assert answer.status_code == 400
        assert set(answer.json()) == {"detail"}

    def test_ones_that_break_off_leave_nothing(self, served):
        path = served.upload_path()
        for length in (100_000, 1_500_000):
            served.start_upload(path, length).close()
        half = served.connect(f"POST {path} HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked", "", "5\r\nab")
        half.close()
        ws = "/_nicegui_ws/socket.io/?EIO=4&transport=polling"
        served.start_upload(ws).close()
        time.sleep(0.1)
        assert served.post(FORM, path=path).status_code == 200

    def test_large_ones_get_413_whether_they_say_so_or_not(self, served):
        path, start = served.upload_path(), FORM[:-7]
        said = {"Content-Type": MULTIPART}
        assert httpx.post(served.address + path, content=bytes(4_000_000), headers=said).status_code == 413

        def endless() -> Iterator[bytes]:
            yield start
            for _ in range(40):
                yield bytes(100_000)

        answer = httpx.post(served.address + path, content=endless(), headers=said)
        assert (answer.status_code, answer.text) == (413, "The request is too large.")
        for other in ("/_nicegui_ws/socket.io/?EIO=4&transport=polling", "/", "/sessions/x/picture"):
            assert httpx.post(served.address + other, content=bytes(200_000)).status_code == 413

    def test_ones_without_end_are_cut(self, served):
        lines = (f"POST {served.upload_path()} HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked")
        raw, sent = served.connect(*lines, f"Content-Type: {MULTIPART}", "", ""), 0
        start = FORM.partition(b"no photograph")[0]  # a form that begins as it should, and then never ends
        raw.sendall(b"%x\r\n%b\r\n" % (len(start), start))
        chunk = b"186a0\r\n" + bytes(100_000) + b"\r\n"
        with contextlib.suppress(ConnectionError):
            while sent < 100_000_000:
                raw.sendall(chunk)
                sent += len(chunk)
        assert 1_500_000 < sent < 50_000_000  # the limit, and what the system keeps on the way

    @pytest.mark.parametrize(
        "name", ["../../etc/passwd", "a\u202egpj.exe", "/dev/stdin", "\\\\host\\share\\a.jpg", "%00"]
    )
    def test_names_are_only_words(self, served, face, name):
        path = served.upload_path()
        assert served.send(face, name, path).status_code == 200
        assert page_of(path).session.upload.name in ("passwd", "agpj.exe", "stdin", "a.jpg", "%00")

    def test_files_that_are_no_photographs(self, served, face):
        """Videos, archives and bombs are answered as any other upload, without an error in the log."""
        path = served.upload_path()
        odd = bad_files(Image.fromarray(np.zeros((20, 20, 3), np.uint8)))
        contents = [
            *list(odd.values())[::8],
            bytes(1_000_000),
            b"PK\3\4" * 1000,
            bomb(19_000),
            b"\0\0\0\x18ftypmp42" * 99,
        ]
        for content in contents:
            assert served.send(content, path=path).status_code == 200
        assert served.send(face, path=path).status_code == 200


class TestMessages:
    MALFORMED = (
        *("4", "42", "42[", "9", "42[]", "42{}", '42["nothing",1]', '451-["event",{"_placeholder":true,"num":0}]'),
        *(
            f'42["{event}"{data}]'
            for event in ("handshake", "event", "ack", "javascript_response", "log")
            for data in ("", ",null", ",5", ",[]", ",{}", ',{"client_id":"x"}', ',{"client_id":["x"]}')
        ),
    )

    def test_malformed_ones_are_dropped(self, served):
        path = served.upload_path()
        client = path.split("/")[3]
        named = [
            ["handshake", {"client_id": client}],
            ["event", {"client_id": client}],
            ["event", {"client_id": client, "id": 5, "args": 5}],
            ["event", {"client_id": client, "id": 5, "listener_id": "x", "args": ["}"]}],
            ["ack", {"client_id": client, "next_message_id": "x"}],
            ["javascript_response", {"client_id": client}],
            ["log", {"client_id": client, "level": "x", "message": "a"}],
            ["log", {"client_id": client, "level": "error", "message": "a\nERROR: forged \x1b[2J"}],
        ]
        address = served.address.replace("http", "ws") + "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
        greeting = ["handshake", {"client_id": client, "tab_id": "t", "document_id": "d"}]
        messages = [*self.MALFORMED, *(f"42{json.dumps(message)}" for message in named)]
        for message in messages:  # some end the connection
            with connect(address, origin=served.address) as raw, contextlib.suppress(ConnectionClosed):
                raw.recv(timeout=10)
                raw.send("40")
                raw.recv(timeout=10)
                raw.send("42" + json.dumps(greeting))
                raw.send(message)
        time.sleep(0.1)
        for query in ("&implicit_handshake=true", f"&implicit_handshake=true&client_id={client}"):
            with connect(address + query, origin=served.address) as raw:
                raw.recv(timeout=10)
                raw.send("40")
                assert raw.recv(timeout=10).startswith("44")
        assert served.post(FORM, path=path).status_code == 200
        gc.collect()  # the errors of tasks are written when these are collected
        assert eventually(lambda: served.post(FORM, path=path).status_code == 404)  # nobody shows the page any more


class TestSlowness:
    def test_requests_that_trickle_are_ended(self, served):
        path = served.upload_path()
        start = time.monotonic()
        nothing, headers, body = served.connect(), served.connect("GET / HTTP/1.1", "Ho"), served.start_upload(path)
        second = served.connect("GET /triangles HTTP/1.1", "Host: localhost", "", "")
        assert second.recv(10)
        assert status(body) == 408
        for raw in (nothing, headers):
            assert status(raw) == 0
        assert PATIENCE <= time.monotonic() - start < PATIENCE + 5

    def test_a_byte_now_and_then_does_not_help(self, served):
        raw, headers = served.start_upload(served.upload_path()), served.connect("GET / HTTP/1.1", "X: ")
        raw.settimeout(0.1)
        end = time.monotonic() + PATIENCE + 5
        answer = b""
        while not answer and time.monotonic() < end:
            raw.sendall(b"x")
            try:
                headers.sendall(b"x")
                answer = raw.recv(100)
            except (TimeoutError, ConnectionError):
                continue
        assert answer.startswith(b"HTTP/1.1 408")
        assert status(headers) == 0

    def test_second_request_of_a_connection_may_not_trickle_either(self, served):
        raw = served.connect("GET /sessions/x/picture HTTP/1.1", "Host: localhost", "", "")
        assert status(raw) == 404
        raw.sendall(b"GET / HTTP/1.1\r\nX: ")
        start = time.monotonic()
        assert status(raw) == 0
        assert time.monotonic() - start < PATIENCE + 5

    def test_steady_upload_may_take_longer(self, served, face):
        """A second more for every 20 kB that came."""
        path, content = served.upload_path(), FORM.replace(b"no photograph", face)
        first, rest = content[:-2000], content[-2000:]
        lines = (f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Type: {MULTIPART}")
        raw = served.connect(*lines, f"Content-Length: {len(content)}", "", "", body=first)
        for part in (rest[:1000], rest[1000:]):
            time.sleep(0.6 * PATIENCE)
            raw.sendall(part)
        assert status(raw) == 200

    def test_headers_without_end_are_cut(self, served):
        raw = served.connect("GET / HTTP/1.1", "")
        sent, line = 0, b"X-A: " + 1000 * b"a" + b"\r\n"
        with contextlib.suppress(ConnectionError):
            while sent < 10_000_000:
                raw.sendall(line)
                sent += len(line)
        assert 65_536 < sent < 10_000_000

    def test_connections_are_bounded(self, served):
        raws = [served.connect("GET /") for _ in range(LIMITS.connections + 10)]
        assert status(raws[-1]) == 0
        for raw in raws:
            raw.close()
        assert eventually(lambda: len(served.server.server_state.connections) < 5)


class TestBounds:
    def test_uploads_of_a_session_at_once(self, served, face):
        path, other = served.upload_path(), served.upload_path()
        served.tools.reconstruct.free.clear()
        answers: list[int] = []

        def send(where: str) -> threading.Thread:
            thread = threading.Thread(target=lambda: answers.append(served.send(face, path=where).status_code))
            thread.start()
            return thread

        threads = [send(path) for _ in range(LIMITS.waiting)]
        try:
            assert eventually(lambda: uploads() == LIMITS.waiting)
            refused = served.send(face, path=path)
            assert refused.status_code == 429
            threads.append(send(other))
            assert eventually(lambda: uploads() == LIMITS.uploads)
            assert served.send(face, path=other).status_code == 503
        finally:
            served.tools.reconstruct.free.set()
        for thread in threads:
            thread.join(60)
        assert answers == [200, 200, 200]

    def test_pages_that_nobody_shows_give_way(self, served):
        addresses = [served.upload_path() for _ in range(LIMITS.sessions + 3)]
        assert len(sessions()) == LIMITS.sessions
        codes = [served.post(FORM, path=path).status_code for path in addresses]
        assert codes == 3 * [404] + LIMITS.sessions * [200]

    def test_pages_that_are_shown_stay_and_no_more_come(self, served):
        from nicegui import Client

        for _ in range(LIMITS.sessions):
            served.get()
        clients = list(Client.instances.values())
        for client in clients:
            client.tab_id = "shown"
        answer = served.get()
        assert (answer.status_code, answer.text) == (503, "Too many pages are open; close some, or come back later.")
        assert list(Client.instances.values()) == clients
        for client in clients:
            client.tab_id = None

    def test_addresses_that_are_none_leave_nothing(self, served):
        from nicegui import Client

        before = len(Client.instances)
        for number in range(20):
            answer = served.get(f"/nothing/{number}")
            assert (answer.status_code, answer.text) == (404, "There is nothing here.")
        assert len(Client.instances) == before

    def test_ended_sessions_hold_nothing(self, served, face):
        from nicegui import Client

        path = served.upload_path()
        assert served.send(face, path=path).status_code == 200
        session = weakref.ref(next(session for session in sessions() if session.version))
        upload = weakref.ref(session().upload)
        client = Client.instances[path.split("/")[3]]
        client.delete()
        del client
        assert eventually(lambda: gc.collect() >= 0 and session() is None and upload() is None)
        assert served.post(FORM, path=path).status_code == 404


class TestSecrets:
    @pytest.mark.parametrize(
        "path",
        [
            "/sessions/../../etc/passwd",
            "/sessions/%2e%2e/%2e%2e/files/face.glb",
            "/sessions/x/files/..%2f..%2fetc%2fpasswd",
            "/_nicegui/3.18.0/static/..%2f..%2f..%2fsetup.cfg",
            "/_nicegui/3.18.0/esm/nicegui-scene/..%2f..%2f..%2fclient.py",
            "/files/face.glb",
            "/docs",
            "/openapi.json",
        ],
    )
    def test_no_file_of_the_server_is_reached(self, served, path):
        with served.connect(f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", "", "") as raw:
            answer = b""
            while part := raw.recv(100_000):
                answer += part
        assert int(answer.split()[1]) in (403, 404)
        assert b"root:" not in answer
        assert b"/work" not in answer
        assert b"site-packages" not in answer

    def test_downloads_are_of_the_own_session(self, served, face):
        path, other = served.upload_path(), served.upload_path()
        assert served.send(face, path=path).status_code == 200
        address = page_of(path).address
        answer = served.get(f"{address}/files/face.glb")
        assert (answer.status_code, answer.content[:4]) == (200, b"glTF")
        assert served.get(f"{address}/files/overlay.png").content.startswith(b"\x89PNG")
        assert served.get(f"{page_of(other).address}/files/face.glb").status_code == 404
        for token in ("x", address.removeprefix("/sessions/")[:-1], path.split("/")[3]):
            answer = served.get(f"/sessions/{token}/files/face.glb")
            assert (answer.status_code, answer.json()) == (
                404,
                {"detail": "This page is no longer open; load it again."},
            )

    def test_full_disk_is_told_without_a_folder(self, served, face, monkeypatch):
        path = served.upload_path()
        assert served.send(face, path=path).status_code == 200

        def full(*args: object, **options: object) -> None:
            raise OSError(28, "No space left on device", "/secret/folder")

        monkeypatch.setattr("mofa3d.viewer.downloads.tempfile.TemporaryDirectory", full)
        monkeypatch.setattr("starlette.formparsers.SpooledTemporaryFile", full)
        downloaded, uploaded = served.get(f"{page_of(path).address}/files/face.glb"), served.send(face, path=path)
        assert (downloaded.status_code, uploaded.status_code) == (507, 507)
        assert "disk space" in downloaded.text
        assert "secret" not in downloaded.text + uploaded.text
        assert len(served.written) == 2
        assert all("/secret/folder" in line and "Traceback" not in line for line in served.written)
        served.written.clear()
