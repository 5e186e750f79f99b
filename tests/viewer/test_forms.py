"""Forms and messages that are malformed, broken off, too large or odd, sent to a real server."""

from __future__ import annotations

import contextlib
import gc
import json
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("nicegui", reason="the page's package is missing: pip install 'mofa3d[view]'")

import httpx
import numpy as np
from odd_files import bad_files, bomb
from PIL import Image
from served_page import FORM, MULTIPART, eventually, page_of
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


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

    def test_names_are_only_words(self, served, face):
        path = served.upload_path()
        names = {"../../etc/passwd": "passwd", "a\u202egpj.exe": "agpj.exe", "/dev/stdin": "stdin", "%00": "%00"}
        for name, shown in {**names, "\\\\host\\share\\a.jpg": "a.jpg"}.items():
            assert served.send(face, name, path).status_code == 200
            page = page_of(path)
            assert page.trouble.message == ""
            assert page.session.upload.name == shown

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
