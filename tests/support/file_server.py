"""A plain HTTP server of a folder on this machine, which knows no ranges, and counts what it is asked for."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class FileServer:
    """A server that runs.

    Attributes:
        url: of its folder.
        asked: how often each path was asked for with GET.
        fail: paths that are refused so many times before they are given.
    """

    def __init__(self, url: str) -> None:
        self.url, self.asked, self.fail = url, Counter[str](), Counter[str]()


@contextmanager
def serving(folder: Path) -> Iterator[FileServer]:
    """Serve a folder."""

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            running.asked[self.path] += 1
            if running.fail[self.path] > 0:
                running.fail[self.path] -= 1
                self.send_error(503)
            else:
                super().do_GET()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    running = FileServer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
