"""Serve the page: sessions by secret addresses, bodies of limited size, nothing from elsewhere."""

from __future__ import annotations

import secrets
import socket
import warnings
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI, HTTPException, Response
from nicegui import ui
from starlette.middleware.body_limit import RequestBodyLimitMiddleware

from mofa3d.viewer.drawing import LOOKS, triangle_bytes
from mofa3d.viewer.page import Page
from mofa3d.viewer.session import Session, Tools

ENVELOPE = 100_000  # bytes of a request around an uploaded file
TYPES = {"glb": "model/gltf-binary", "zip": "application/zip", "json": "application/json", "png": "image/png"}
ICON = "🙂"


def make_app(tools: Tools) -> FastAPI:
    """The web application. There can be one in a process, for NiceGUI keeps its state in the module."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=tools.limits.bytes + ENVELOPE)
    sessions: dict[str, Session] = {}
    triangles = triangle_bytes(tools.reconstruct.decode.model.faces)

    def session(token: str) -> Session:
        if token not in sessions:
            raise HTTPException(404, "This page is no longer open; load it again.")
        return sessions[token]

    @app.get("/triangles")
    def get_triangles() -> Response:
        return Response(triangles, media_type="application/octet-stream")

    @app.get("/sessions/{token}/picture")
    def get_picture(token: str, overlay: bool = True) -> Response:
        return _answer(lambda: session(token).picture(overlay), "image/jpeg")

    @app.get("/sessions/{token}/vertices")
    def get_vertices(token: str, look: str = "lit") -> Response:
        if look not in LOOKS:
            raise HTTPException(404, f"There is no look {look!r}.")
        return _answer(lambda: session(token).vertices(look), "application/octet-stream")

    @app.get("/sessions/{token}/files/{name}")
    def get_file(token: str, name: str) -> Response:
        kind = TYPES.get(name.rpartition(".")[2], "application/octet-stream")
        return _answer(lambda: session(token).file(name), kind)

    @ui.page("/", title="mofa3d", favicon=ICON)
    def page() -> None:
        token = secrets.token_urlsafe(24)
        sessions[token] = Session(tools)
        ui.context.client.on_delete(lambda: sessions.pop(token, None))
        Page(sessions[token], f"/sessions/{token}").build()

    ui.run_with(app, tailwind=False, show_welcome_message=False)
    return app


def _answer(make: Callable[[], bytes], media_type: str) -> Response:
    try:
        return Response(make(), media_type=media_type, headers={"Cache-Control": "no-store"})
    except ValueError as error:
        raise HTTPException(404, str(error)) from None


def listen(host: str, port: int) -> socket.socket:
    """Take an address to serve at.

    Args:
        port: 0 takes a free one.

    Raises:
        ValueError: the address cannot be had.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        raise ValueError(f"cannot listen at {host}, port {port} ({error}); give another --port or --host") from None


def address(listening: socket.socket) -> str:
    """Where browsers find what a socket serves."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def serve(tools: Tools, listening: socket.socket) -> None:
    """Serve the page until the process is interrupted."""
    # NiceGUI looks at every object of the process when it starts, among them a deprecated one of PyTorch.
    warnings.filterwarnings("ignore", message=r".*torch\.distributed\.reduce_op", category=FutureWarning)
    config = uvicorn.Config(make_app(tools), log_level="warning", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listening])
