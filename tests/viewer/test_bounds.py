"""Slow requests and many to a real server: what trickles ends, what is too much is refused, what ends is freed."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
import weakref

import pytest

pytest.importorskip("nicegui", reason="the page's package is missing: pip install 'mofa3d[view]'")

from served_page import FORM, LIMITS, MULTIPART, PATIENCE, eventually, sessions, status, uploads


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

    def test_photographs_of_pages_that_end_meanwhile_get_404(self, served, face):
        from nicegui import Client

        path, answers = served.upload_path(), []
        served.tools.reconstruct.free.clear()
        thread = threading.Thread(target=lambda: answers.append(served.send(face, path=path)))
        thread.start()
        try:
            assert eventually(lambda: uploads() == 1)
            Client.instances[path.split("/")[3]].delete()
        finally:
            served.tools.reconstruct.free.set()
        thread.join(60)
        assert [answer.status_code for answer in answers] == [404]
        assert answers[0].json() == {"detail": "This page is no longer open; load it again."}

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
