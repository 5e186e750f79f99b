"""Other sites cannot use the page, and nobody reaches files or other people's faces: raw requests to a real server."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("nicegui", reason="the page's package is missing: pip install 'mofa3d[view]'")

import httpx
from served_page import page_of, status

ROOT = Path(__file__).parents[2]


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
        assert str(ROOT).encode() not in answer
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
