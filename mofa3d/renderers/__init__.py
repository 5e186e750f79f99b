"""Pluggable renderers: each turns a `Scene` into a `Rendering`, for one photometric loss.

`make_renderer` chooses one by name. Other packages can add their own under the entry-point group ``mofa3d.renderers``:
a callable that takes options and returns a ``Callable[[Scene], Rendering]``.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from mofa3d.errors import InputError

if TYPE_CHECKING:
    from mofa3d.scene import Renderer


ENTRY_POINT_GROUP = "mofa3d.renderers"
BUILT_IN = ("vertex", "cpu", "pytorch3d", "nvdiffrast")


def make_renderer(name: str, **options) -> Renderer:
    """Make a renderer by name; only what it needs is imported.

    Args:
        name: one of
            "vertex": one color sample per vertex, as in the paper; no options;
            "cpu": the rasterizer of mofa3d; `antialias` (True), `background` (black);
            "pytorch3d": the `MeshRasterizer` of PyTorch3D; `soft` (False), `faces_per_pixel` (8), `sigma`, `gamma`
                (1e-4) of soft blending, `background`;
            "nvdiffrast": on an NVIDIA GPU; `antialias` (True), `background`;
            or the name of an entry point in the group "mofa3d.renderers".
        options: passed to the renderer.

    Raises:
        InputError: no renderer has this name, or a package or GPU that it needs is missing.
    """
    if name == "vertex":
        from mofa3d.renderers.vertex import VertexRenderer

        return VertexRenderer(**options)
    if name == "cpu":
        from mofa3d.renderers.cpu_rasterizer import make_cpu_renderer

        return make_cpu_renderer(**options)
    if name == "pytorch3d":
        from mofa3d.renderers.pytorch3d_rasterizer import make_pytorch3d_renderer

        return make_pytorch3d_renderer(**options)
    if name == "nvdiffrast":
        from mofa3d.renderers.nvdiffrast_rasterizer import make_nvdiffrast_renderer

        return make_nvdiffrast_renderer(**options)
    others = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if name in others:
        return others[name].load()(**options)
    raise InputError(f"unknown renderer {name!r}; there are {', '.join([*BUILT_IN, *sorted(others)])}")
