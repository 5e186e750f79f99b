"""`mofa3d view` as its users type it; the page itself is tested in `tests/viewer`."""

from __future__ import annotations

import importlib.util
import socket

import pytest

from mofa3d import cli


def refused(capsys, *arguments: str) -> str:
    assert cli.main(["view", *arguments]) == 2
    [line] = capsys.readouterr().err.splitlines()
    return line


def test_missing_package_is_named(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    said = refused(capsys)
    assert said == "error: the page needs the package nicegui; run: pip install 'mofa3d[view]'"


class TestAddress:
    @pytest.fixture(autouse=True)
    def needs_nicegui(self):
        pytest.importorskip("nicegui", reason="the page's package is missing: pip install 'mofa3d[view]'")

    def test_port_that_is_taken(self, capsys):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            said = refused(capsys, "--port", port)
        assert said.startswith(f"error: cannot listen at 127.0.0.1, port {port} (")
        assert said.endswith("); give another --port or --host")

    @pytest.mark.parametrize("arguments", [("--port", "99999"), ("--host", "256.1.1.1")])
    def test_wrong_address(self, capsys, arguments):
        assert refused(capsys, *arguments).startswith("error: cannot listen at ")

    def test_limits_are_positive(self, capsys):
        assert refused(capsys, "--max-megabytes", "0").startswith("error: --max-megabytes and --max-megapixels")

    def test_only_this_computer_by_default(self):
        from mofa3d.view_command import ViewCommand
        from mofa3d.viewer.server import address, listen

        with listen(ViewCommand().host, 0) as listening:
            assert listening.getsockname()[0] == "127.0.0.1"
            assert address(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}"
