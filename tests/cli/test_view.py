"""`mofa3d view` as its users type it; the page itself is tested in `tests/viewer`."""

from __future__ import annotations

import importlib.util
import socket

import pytest

from mofa3d.cli import main


def refused(capsys, *arguments: str) -> str:
    assert main.main(["view", *arguments]) == 2
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

    def test_wrong_address(self, capsys):
        assert refused(capsys, "--host", "256.1.1.1").startswith("error: cannot listen at 256.1.1.1, port 8080 (")

    def test_wrong_port_is_refused_instead_of_taking_another(self):
        from mofa3d.viewer.server import listen

        with pytest.raises(ValueError, match=r"^cannot listen at 127\.0\.0\.1, port 99999 \("):
            listen("127.0.0.1", 99999)

    def test_limits_are_positive(self, capsys):
        assert refused(capsys, "--max-megabytes", "0").startswith("error: --max-megabytes and --max-megapixels")

    def test_only_this_computer_by_default(self):
        from mofa3d.cli.view import ViewCommand
        from mofa3d.viewer.server import address, listen

        with listen(ViewCommand().host, 0) as listening:
            assert listening.getsockname()[0] == "127.0.0.1"
            assert address(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}"

    @pytest.mark.parametrize("name", ["https://faces.example.org", "faces.example.org:443", "*"])
    def test_allowed_host_is_a_name(self, capsys, name):
        assert refused(capsys, "--allow-host", name).startswith("error: --allow-host takes a name or an address")

    @pytest.mark.parametrize("host", ["", "[]"])
    def test_empty_host_is_refused_instead_of_listening_everywhere(self, host):
        from mofa3d.viewer.server import listen

        with pytest.raises(ValueError, match=r"^--host is empty; give an address to listen at"):
            listen(host, 0)

    def test_this_computer_alone_needs_no_warning(self):
        from mofa3d.viewer.server import listen, warning

        with listen("127.0.0.1", 0) as listening:
            assert warning(listening) == ""

    @pytest.mark.parametrize(("own", "told"), [("192.168.1.5", "at http://192.168.1.5:{port}"), ("", "by this")])
    def test_listening_everywhere_warns_and_gives_addresses_that_can_be_opened(self, monkeypatch, own, told):
        from mofa3d.viewer import server

        monkeypatch.setattr(server, "own_address", lambda family: own)
        with server.listen("0.0.0.0", 0) as listening:
            port = listening.getsockname()[1]
            assert server.address(listening) == f"http://127.0.0.1:{port}"
            said = server.warning(listening)
            assert said.startswith(f"warning: anyone on the network can use the page, {told.format(port=port)}")
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                pass

    def test_own_address_is_one_that_can_be_listened_at(self):
        from mofa3d.viewer.server import listen, own_address

        found = own_address(socket.AF_INET)
        assert found != "0.0.0.0"
        if found:  # there is a network
            with listen(found, 0) as listening:
                assert listening.getsockname()[0] == found

    @pytest.mark.skipif(not socket.has_ipv6, reason="this computer has no IPv6")
    @pytest.mark.parametrize("host", ["::1", "[::1]", "::"])
    def test_ipv6(self, host):
        from mofa3d.viewer.server import address, listen

        try:
            listening = listen(host, 0)
        except ValueError:
            pytest.skip("this computer has no IPv6 address")
        with listening:
            shown, port = address(listening), listening.getsockname()[1]
            if host == "::" and socket.has_dualstack_ipv6():
                assert shown == f"http://127.0.0.1:{port}"
                with socket.create_connection(("127.0.0.1", port), timeout=5):
                    pass
            else:
                assert shown == f"http://[::1]:{port}"
            with socket.create_connection(("::1", port), timeout=5):
                pass
