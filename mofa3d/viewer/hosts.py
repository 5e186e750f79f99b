"""Under which names the page is reached, and from which sites it may be asked.

A page of any other site runs in the same browser. It can give its own name the address of this computer (DNS
rebinding), which the Host header tells, and it can send forms and open sockets here, which the Origin header tells.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.types import Scope

from mofa3d.errors import InputError

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?", re.ASCII)
_ORIGIN = re.compile(rf"(https?)://{_HOST.pattern}", re.ASCII)
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Refusal:
    """Why a request is not answered."""

    status: int
    reason: str


@dataclass(frozen=True)
class Hosts:
    """Names and addresses that the page has.

    Attributes:
        names: besides the address that a connection arrived at, which is one of this computer's.
        elsewhere: of reverse proxies; what browsers know of them may differ from what they send on.
    """

    names: frozenset[str] = frozenset(LOOPBACK)
    elsewhere: frozenset[str] = frozenset()

    @classmethod
    def of(cls, host: str, allowed: Iterable[str] = ()) -> Hosts:
        """Those of a server that listens at `host`.

        Args:
            allowed: further names, without scheme and port.

        Raises:
            InputError: one of these is no name.
        """
        names = {*LOOPBACK, _plain(host)}
        if not is_loopback(host):
            own = socket.gethostname().lower()
            names |= {own, f"{own}.local"}
        elsewhere = frozenset(map(_allowed_name, allowed))
        return cls(frozenset(names) | elsewhere, elsewhere)

    def refusal(self, scope: Scope) -> Refusal | None:
        """Why this HTTP request or WebSocket may not be answered, or ``None`` if it may."""
        hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
        match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if match is None:
            return Refusal(400, "The request needs one Host header, a name or an address with or without a port.")
        host, port = _plain(match[1]), match[2]
        if host not in self.names and host != _arrived_at(scope):
            return Refusal(400, f"The page has no name {host}; if it should, start it with --allow-host {host}")
        if (origins or scope["type"] == "websocket") and not self._same_site(origins, host, port):
            return Refusal(403, "Only the page itself may ask this, not one of another site.")
        if _is_embedded(scope):
            return Refusal(403, "Another site may lead here, but not use what is here.")
        return None

    def _same_site(self, origins: list[str], host: str, port: str | None) -> bool:
        match = _ORIGIN.fullmatch(origins[0]) if len(origins) == 1 else None
        if match is None:  # among them "null", of sandboxed pages and local files
            return False
        scheme, name, origin_port = match[1], _plain(match[2]), match[3]
        default = _PORTS[scheme]
        return name in self.elsewhere or (name, int(origin_port or default)) == (host, int(port or default))


def is_loopback(host: str) -> bool:
    """Whether only this computer reaches what listens at this name or address."""
    try:
        return ipaddress.ip_address(_plain(host)).is_loopback
    except ValueError:  # of ipaddress
        return host.lower() == "localhost"


def is_wildcard(host: str) -> bool:
    """Whether this stands for all of a computer's addresses."""
    try:
        return ipaddress.ip_address(_plain(host)).is_unspecified
    except ValueError:  # of ipaddress
        return False


def _plain(host: str) -> str:
    """One way to write a name or an address: small letters, no brackets, no zone, IPv4 as such."""
    host = host.strip("[]").lower()
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:  # of ipaddress
        return host
    return str(getattr(found, "ipv4_mapped", None) or found)


def _allowed_name(name: str) -> str:
    try:
        ascii_name = name if ":" in name else name.encode("idna").decode()
    except UnicodeError:
        ascii_name = ""
    plain = _plain(ascii_name)
    match = _HOST.fullmatch(f"[{plain}]" if ":" in plain else plain)
    if match is None or match[2]:
        raise InputError(
            f"--allow-host takes a name or an address without http:// and port, like faces.example.org, not {name!r}"
        )
    return plain


def _values(scope: Scope, header: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == header]


def _arrived_at(scope: Scope) -> str | None:
    server = scope.get("server")
    return _plain(server[0]) if server else None


def _is_embedded(scope: Scope) -> bool:
    """Whether a page of another site loads this as a picture, script or frame, by what browsers say about it."""
    if not {"cross-site", "same-site"} & set(_values(scope, b"sec-fetch-site")):
        return False
    leads_here = _values(scope, b"sec-fetch-mode") == ["navigate"] and _values(scope, b"sec-fetch-dest") == ["document"]
    return not (leads_here and scope.get("method") == "GET")
