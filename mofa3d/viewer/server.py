"""Serve the page: its own address, those of each session's pictures and files, nothing from elsewhere."""

from __future__ import annotations

import asyncio
import logging
import socket
import warnings
from collections.abc import Callable, Container

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, PlainTextResponse
from nicegui import app as nicegui_app
from nicegui import core, ui

from mofa3d.errors import InputError
from mofa3d.viewer.connections import bounded
from mofa3d.viewer.drawing import PICTURES
from mofa3d.viewer.guard import ENVELOPE, Guard
from mofa3d.viewer.hosts import Hosts, is_loopback, is_wildcard
from mofa3d.viewer.mesh_data import LOOKS, coordinate_bytes, triangle_bytes
from mofa3d.viewer.messages import drop_malformed
from mofa3d.viewer.page import CLOSED, Page
from mofa3d.viewer.session import Session
from mofa3d.viewer.tools import Tools
from mofa3d.viewer.visitors import Visitors

TYPES = {
    "glb": "model/gltf-binary", "zip": "application/zip", "json": "application/json", "png": "image/png",
    "csv": "text/csv", "mp4": "video/mp4",
}  # fmt: skip
ICON = "🙂"
OWN = Hosts()
_ELSEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}  # of documentation; nothing is sent there


def make_app(tools: Tools, hosts: Hosts = OWN) -> FastAPI:
    """The web application. There can be one in a process, for NiceGUI keeps its state in the module.

    Args:
        hosts: the names that the page has.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, hosts=hosts, limits=tools.limits)
    visitors = Visitors(tools.limits.sessions, tools.limits.kept)
    pages: dict[str, Page] = {}  # by the browsers that show them
    writing = asyncio.Semaphore(1)  # files are large: who waits for one holds no thread that draws

    def session(token: str) -> Session:
        found = visitors.session(token)
        if found is None:
            raise HTTPException(404, CLOSED)
        return found

    @app.get("/triangles")
    def get_triangles() -> Response:
        return Response(triangle_bytes(tools.layout), media_type="application/octet-stream")

    @app.get("/coordinates")
    def get_coordinates() -> Response:
        return Response(coordinate_bytes(tools.layout), media_type="application/octet-stream")

    @app.get("/sessions/{token}/picture")
    def get_picture(token: str, kind: str = "overlay", full: bool = False, beside: bool = False) -> Response:
        _check("picture", kind, PICTURES)
        return _answer(lambda: session(token).view(beside).picture(kind, full), "image/jpeg")

    @app.get("/sessions/{token}/faces/{number}")
    def get_face(token: str, number: int) -> Response:
        return _answer(lambda: session(token).thumbnail(number), "image/jpeg")

    @app.get("/sessions/{token}/texture")
    def get_texture(token: str, beside: bool = False) -> Response:
        return _answer(lambda: session(token).view(beside).texture(), "image/jpeg")

    @app.get("/sessions/{token}/vertices")
    def get_vertices(token: str, look: str = "lit", beside: bool = False) -> Response:
        _check("view", look, LOOKS)
        return _answer(lambda: session(token).view(beside).vertices(look), "application/octet-stream")

    @app.get("/sessions/{token}/files/{name}")
    async def get_file(token: str, name: str) -> Response:
        kind, found = TYPES.get(name.rpartition(".")[2], "application/octet-stream"), session(token)
        async with writing:
            return await run_in_threadpool(_answer, lambda: found.view().file(name), kind)

    @app.get("/sessions/{token}/video/{name}")
    def get_video(token: str, name: str) -> FileResponse:
        video = session(token).video
        try:
            if video is None:
                raise InputError("there is no video")
            return FileResponse(video.file(name), headers={"Cache-Control": "no-store"})
        except InputError as error:
            raise HTTPException(404, str(error)) from None

    @app.post("/_nicegui/client/{browser}/upload/{element}")
    async def post_photograph(browser: str, element: int, request: Request) -> Response:
        if browser not in pages or pages[browser].uploader.id != element:
            raise HTTPException(404, CLOSED)
        await pages[browser].receive(request)
        return Response(status_code=200)

    @ui.page("/", title="mofa3d", favicon=ICON, dark=None)
    def page() -> Response | None:
        client = ui.context.client
        if not visitors.make_room():
            client.delete()
            return PlainTextResponse("Too many pages are open; close some, or come back later.", 503)
        opened = Session(tools)
        token = visitors.enter(opened, client)

        def close() -> None:
            visitors.leave(client)
            pages.pop(client.id, None)

        client.on_delete(close)
        shown = pages[client.id] = Page(opened, token, lambda other: visitors.claim(other, client))
        shown.build()
        client.on_connect(shown.resume)
        return None

    # NiceGUI's answer is a page with a client of its own, which takes memory for a minute.
    nicegui_app.add_exception_handler(404, lambda request, error: PlainTextResponse("There is nothing here.", 404))
    drop_malformed(core.sio)
    ui.run_with(app, tailwind=False, show_welcome_message=False)
    return app


def _check(what: str, name: str, known: Container[str]) -> None:
    if name not in known:
        raise HTTPException(404, f"There is no {what} {name!r}.")


def _answer(make: Callable[[], bytes], media_type: str) -> Response:
    try:
        return Response(make(), media_type=media_type, headers={"Cache-Control": "no-store"})
    except InputError as error:
        raise HTTPException(404, str(error)) from None
    except OSError as error:  # its message would name a folder of the server
        logging.getLogger(__name__).warning("a download could not be written: %s", error)
        raise HTTPException(507, "The server has no disk space left to write it; try again later.") from None


def listen(host: str, port: int) -> socket.socket:
    """Take an address to serve at; ``::`` takes those of IPv4 too.

    Args:
        port: 0 takes a free one.

    Raises:
        InputError: the address cannot be had.
    """
    host = host.strip("[]")
    if not host:  # Python would listen at every address of the computer
        raise InputError("--host is empty; give an address to listen at, as 127.0.0.1")
    try:
        family, _, _, _, place = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
        both = host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server((place[0], port, *place[2:]), family=family, dualstack_ipv6=both)
    except (OSError, OverflowError, UnicodeError) as error:
        raise InputError(f"cannot listen at {host}, port {port} ({error}); give another --port or --host") from None


def address(listening: socket.socket) -> str:
    """Where a browser of this computer finds what a socket serves."""
    host, port = listening.getsockname()[:2]
    if is_wildcard(host):
        host = "127.0.0.1" if _takes_ipv4(listening) else "::1"
    return _url(host, port)


def warning(listening: socket.socket) -> str:
    """What to know about a socket that other computers reach; nothing about others."""
    host, port = listening.getsockname()[:2]
    if is_loopback(host):
        return ""
    if is_wildcard(host):
        host = own_address(socket.AF_INET if _takes_ipv4(listening) else socket.AF_INET6)
    where = f"at {_url(host, port)}" if host else "by this computer's address"
    return f"warning: anyone on the network can use the page, {where}, without a password"


def own_address(family: socket.AddressFamily) -> str:
    """This computer's address on its network, or nothing without a network."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((_ELSEWHERE[family], 9))
            return probe.getsockname()[0]
        except OSError:
            return ""


def _takes_ipv4(listening: socket.socket) -> bool:
    if listening.family == socket.AF_INET:
        return True
    return not listening.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def _url(host: str, port: int) -> str:
    host = host.partition("%")[0]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def make_server(tools: Tools, hosts: Hosts = OWN) -> uvicorn.Server:
    """A server of `make_app`, with its limits on connections."""
    # NiceGUI looks at every object of the process when it starts, among them a deprecated one of PyTorch.
    warnings.filterwarnings("ignore", message=r".*torch\.distributed\.reduce_op", category=FutureWarning)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of every malformed form
    config = uvicorn.Config(
        make_app(tools, hosts),
        http=bounded(tools.limits),
        ws_max_size=ENVELOPE,
        log_level="warning",
        timeout_graceful_shutdown=1,
        server_header=False,
    )
    return uvicorn.Server(config)


def serve(tools: Tools, listening: socket.socket, hosts: Hosts = OWN) -> None:
    """Serve the page until the process is interrupted."""
    make_server(tools, hosts).run(sockets=[listening])
