"""Which names and sites the page answers."""

from __future__ import annotations

import socket

import pytest

from mofa3d.viewer.hosts import Hosts, is_loopback, is_wildcard

LOCAL = Hosts.of("127.0.0.1")


def scope(*headers: tuple[str, str], kind: str = "http", arrived_at: str = "127.0.0.1", method: str = "GET") -> dict:
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return {"type": kind, "method": method, "headers": pairs, "server": (arrived_at, 8080)}


def status(hosts: Hosts, *headers: tuple[str, str], **others: str) -> int:
    refusal = hosts.refusal(scope(*headers, **others))
    return 200 if refusal is None else refusal.status


class TestHost:
    @pytest.mark.parametrize(
        "host", ["127.0.0.1:8080", "127.0.0.1", "localhost:8080", "LocalHost", "[::1]:8080", "localhost:65000"]
    )
    def test_names_of_this_computer(self, host):
        assert status(LOCAL, ("host", host)) == 200

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example",
            "evil.example:8080",
            "127.0.0.1.evil.example",
            "localhost.evil.example:8080",
            "192.168.1.5:8080",
            "127.0.0.2",
            "0.0.0.0:8080",
            "2130706433",
            "[::2]",
        ],
    )
    def test_other_names_are_refused_so_that_none_can_be_rebound_to_this_computer(self, host):
        assert status(LOCAL, ("host", host)) == 400

    @pytest.mark.parametrize(
        "host",
        [
            "",
            "127.0.0.1:8080@evil.example",
            "evil.example#@127.0.0.1",
            "127.0.0.1:x",
            "127.0.0.1:8080:8080",
            "127.0.0.1:",
            "127.0.0.1 ",
            "[::1",
            "::1",
            "localhost/",
            "http://localhost",
            "127.0.0.1:\u00b2",
        ],
    )
    def test_what_is_no_name_with_a_port_is_refused(self, host):
        assert status(LOCAL, ("host", host)) == 400

    def test_exactly_one_is_needed(self):
        assert status(LOCAL) == 400
        assert status(LOCAL, ("host", "localhost"), ("host", "localhost")) == 400
        assert status(LOCAL, ("host", "localhost"), ("host", "evil.example")) == 400

    @pytest.mark.parametrize("everywhere", ["0.0.0.0", "::"])
    def test_the_address_that_a_connection_arrived_at_is_this_computers(self, everywhere):
        hosts = Hosts.of(everywhere)
        assert status(hosts, ("host", "192.168.1.5:8080"), arrived_at="192.168.1.5") == 200
        assert status(hosts, ("host", "192.168.1.5:8080"), arrived_at="::ffff:192.168.1.5") == 200
        assert status(hosts, ("host", "[fe80::1]:8080"), arrived_at="fe80::1%eth0") == 200
        assert status(hosts, ("host", f"{socket.gethostname()}:8080"), arrived_at="192.168.1.5") == 200
        assert status(hosts, ("host", "192.168.1.6:8080"), arrived_at="192.168.1.5") == 400
        assert status(hosts, ("host", "evil.example"), arrived_at="192.168.1.5") == 400

    def test_name_that_it_was_told_to_listen_at(self):
        assert status(Hosts.of("box.lan"), ("host", "box.lan:8080"), arrived_at="192.168.1.5") == 200

    def test_further_names(self):
        hosts = Hosts.of("127.0.0.1", ("Faces.Example.org", "2001:DB8::1", "bücher.example"))
        for host in ("faces.example.org", "faces.example.org:443", "[2001:db8::1]:80", "xn--bcher-kva.example"):
            assert status(hosts, ("host", host)) == 200
        assert status(hosts, ("host", "more.faces.example.org")) == 400

    @pytest.mark.parametrize("name", ["", "*", "https://a.example", "a.example:80", "a/b", "a b", "*.example", "a..b"])
    def test_further_name_that_is_none_is_refused(self, name):
        with pytest.raises(ValueError, match="--allow-host takes a name or an address without http:// and port"):
            Hosts.of("127.0.0.1", (name,))

    def test_refusal_says_how_a_name_is_allowed(self):
        refusal = LOCAL.refusal(scope(("host", "faces.example.org")))
        assert refusal.reason == (
            "The page has no name faces.example.org; if it should, start it with --allow-host faces.example.org"
        )


class TestOrigin:
    OWN = ("host", "127.0.0.1:8080")

    @pytest.mark.parametrize("kind", ["http", "websocket"])
    def test_own(self, kind):
        assert status(LOCAL, self.OWN, ("origin", "http://127.0.0.1:8080"), kind=kind) == 200
        assert status(LOCAL, ("host", "localhost"), ("origin", "http://localhost"), kind=kind) == 200
        assert status(LOCAL, ("host", "localhost"), ("origin", "http://localhost:80"), kind=kind) == 200

    @pytest.mark.parametrize("kind", ["http", "websocket"])
    @pytest.mark.parametrize(
        "origin",
        [
            "null",
            "",
            "https://evil.example",
            "http://127.0.0.1:9999",
            "http://127.0.0.1",
            "http://localhost:8080",
            "http://127.0.0.1:8080.evil.example",
            "http://evil.example:8080",
            "http://127.0.0.1:8080@evil.example",
            "http://127.0.0.1:8080/",
            "file://",
            "chrome-extension://abc",
            "http://127.0.0.1:8080, http://evil.example",
        ],
    )
    def test_other_sites_are_refused(self, origin, kind):
        assert status(LOCAL, self.OWN, ("origin", origin), kind=kind) == 403

    def test_two_are_refused(self):
        assert status(LOCAL, self.OWN, ("origin", "http://127.0.0.1:8080"), ("origin", "http://evil.example")) == 403

    def test_websockets_need_one(self):
        assert status(LOCAL, self.OWN, kind="websocket") == 403
        assert status(LOCAL, self.OWN) == 200

    def test_proxy_may_send_requests_on_under_another_host(self):
        hosts = Hosts.of("127.0.0.1", ("faces.example.org",))
        assert status(hosts, self.OWN, ("origin", "https://faces.example.org")) == 200
        assert status(hosts, self.OWN, ("origin", "https://other.example.org")) == 403
        assert status(hosts, ("host", "faces.example.org"), ("origin", "https://faces.example.org")) == 200


class TestEmbedding:
    OWN = ("host", "127.0.0.1:8080")
    LINK = ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    def test_other_sites_may_link_but_not_embed(self, site):
        told = ("sec-fetch-site", site)
        assert status(LOCAL, self.OWN, told, *self.LINK) == 200
        assert status(LOCAL, self.OWN, told, *self.LINK, method="POST") == 403
        assert status(LOCAL, self.OWN, told, ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")) == 403
        assert status(LOCAL, self.OWN, told, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")) == 403

    @pytest.mark.parametrize("site", ["same-origin", "none"])
    def test_the_page_itself_may(self, site):
        assert status(LOCAL, self.OWN, ("sec-fetch-site", site), ("sec-fetch-mode", "no-cors")) == 200


def test_addresses_that_only_this_computer_reaches():
    assert all(map(is_loopback, ("127.0.0.1", "::1", "[::1]", "localhost", "127.1.2.3")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.5", "box.lan", "")))


def test_addresses_that_stand_for_all():
    assert all(map(is_wildcard, ("0.0.0.0", "::", "[::]")))
    assert not any(map(is_wildcard, ("127.0.0.1", "::1", "localhost")))
