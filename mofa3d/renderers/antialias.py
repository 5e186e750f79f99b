"""Analytic antialiasing of silhouettes, which lets gradients move them.

Where a silhouette edge crosses the segment between the centres of two neighbouring pixels, one of them receives part of
the other's color, in proportion to how far the crossing lies from the midpoint. The image then changes continuously as
the edge moves, so its gradient reaches the edge's two vertices.

The principle is nvdiffrast's (Laine et al. 2020, "Modular Primitives for High-Performance Differentiable Rendering",
Sec. 3.5). There, only the edges of the triangles seen at the two pixels are tested, which misses most silhouettes of a
mesh with triangles as small as pixels. Here every silhouette edge looks for the pixel pairs that it crosses.

Differentiable: the image with respect to its colors and to the vertices' pixel positions. Not differentiable: which
edges are silhouettes and which pixel pairs they cross.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numba import njit
from torch import Tensor

from mofa3d.kernels import parallel
from mofa3d.kernels.compiled import compiled

if TYPE_CHECKING:
    from pytorch3d.renderer.mesh.rasterizer import Fragments

    from mofa3d.scene import Scene


class Edges(NamedTuple):
    """The edges of a triangulation.

    Attributes:
        vertices: (E, 2) in the order in which the first of the edge's faces runs through them.
        opposite: (E, 2) third vertex of the first and of the second face, which is -1 at the border of the surface.
    """

    vertices: np.ndarray
    opposite: np.ndarray


class Crossings(NamedTuple):
    """Pixel pairs that a silhouette edge crosses, over all images.

    Attributes:
        inside, outside: (P,) flat indices (image, row, column) of the pixel on the surface and of the one beside it.
        start, end: (P,) flat indices (image, vertex) of the edge's vertices.
        vertical: (P,) whether the two pixels lie above each other.
    """

    inside: Tensor
    outside: Tensor
    start: Tensor
    end: Tensor
    vertical: Tensor


def find_edges(faces: Int[Tensor, "F 3"]) -> Edges:
    """Edges of a triangulation, 72,000 in 20 ms: keep them.

    An edge of more than two faces is listed once per two of them.
    """
    corners = faces.cpu().numpy().astype(np.int64)
    ends = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    opposite = np.concatenate([corners[:, 2], corners[:, 0], corners[:, 1]])
    low, high = ends.min(axis=1), ends.max(axis=1)
    order = np.lexsort((high, low))
    ends, opposite, low, high = ends[order], opposite[order], low[order], high[order]
    # Half-edges of one edge now follow each other; every second one of them joins the one before.
    number = np.arange(len(ends))
    follows = np.zeros(len(ends), dtype=bool)
    follows[1:] = (low[1:] == low[:-1]) & (high[1:] == high[:-1])
    start = np.maximum.accumulate(np.where(follows, 0, number))
    joins = (number - start) % 2 == 1
    first = number[~joins]
    second = np.full(len(ends), -1)
    second[number[joins] - 1] = opposite[joins]
    return Edges(vertices=ends[first], opposite=np.stack([opposite[first], second[first]], axis=1))


def find_crossings(
    pixels: Float[Tensor, "B N 2"],
    depth: Float[Tensor, "B N"],
    edges: Edges,
    pix_to_face: Int[Tensor, "B H W 1"],
    zbuf: Float[Tensor, "B H W 1"],
    cull_backfaces: bool = False,
) -> Crossings:
    """Find the visible silhouette crossings of rasterized images; of several in one pixel pair the outermost.

    An edge is a silhouette when it borders the surface or when both its faces lie on the same side of it in the image.

    Args:
        pixels, depth: projected vertices, as given to the rasterizer.
        edges: of the triangulation.
        pix_to_face, zbuf: what the rasterizer returned.
        cull_backfaces: the rasterizer left out faces seen from behind, so their borders are no silhouettes.
    """
    batch, height, width, _ = pix_to_face.shape
    pixels, depth = pixels.detach().contiguous(), depth.detach().contiguous()
    face_index, zbuf = pix_to_face[..., 0].contiguous(), zbuf.detach()[..., 0].contiguous()
    found: list[tuple[np.ndarray, ...]] = [()] * batch

    def find(image: int) -> None:
        winner = np.full((2, height, width), -1, dtype=np.int32)
        inside_first = np.zeros((2, height, width), dtype=np.bool_)
        geometry = (pixels[image].numpy(), depth[image].numpy(), *edges)
        raster = (face_index[image].numpy(), zbuf[image].numpy())
        _find_winners(*geometry, cull_backfaces, *raster, winner, inside_first)
        direction, row, column = np.nonzero(winner >= 0)
        first = image * height * width + row * width + column
        second = first + np.where(direction == 0, 1, width)
        forward = inside_first[direction, row, column]
        ends = edges.vertices[winner[direction, row, column]] + image * pixels.shape[1]
        inside, outside = np.where(forward, first, second), np.where(forward, second, first)
        found[image] = (inside, outside, ends[:, 0], ends[:, 1], direction == 1)

    parallel.run(find, [(image,) for image in range(batch)])
    if not found:
        nothing = pix_to_face.new_zeros(0)
        return Crossings(nothing, nothing, nothing, nothing, nothing.bool())
    return Crossings(*(torch.from_numpy(np.concatenate(parts)) for parts in zip(*found, strict=True)))


def antialias(
    image: Float[Tensor, "B H W C"], pixels: Float[Tensor, "B N 2"], crossings: Crossings
) -> Float[Tensor, "B H W C"]:
    """Blend the colors of pixel pairs across silhouettes.

    A crossing of a slanted edge is counted in rows with cos² and in columns with sin² of its angle to the vertical, so
    that the total over an edge changes by exactly the area that it sweeps.
    """
    batch, height, width, channels = image.shape
    colors, points = image.reshape(-1, channels), pixels.reshape(-1, 2)
    start, end = points[crossings.start], points[crossings.end]
    # Along the line through both pixel centres, and across it.
    vertical = crossings.vertical[:, None]
    start, end = torch.where(vertical, start.flip(-1), start), torch.where(vertical, end.flip(-1), end)
    centre, beside = (_centres(index, height, width).to(points) for index in (crossings.inside, crossings.outside))
    centre, beside = torch.where(vertical, centre.flip(-1), centre), torch.where(vertical, beside.flip(-1), beside)
    (x0, y0), (x1, y1) = start.unbind(-1), end.unbind(-1)
    crossing = x0 + (centre[:, 1] - y0) / (y1 - y0) * (x1 - x0)
    distance = (crossing - centre[:, 0]) * (beside - centre)[:, 0]  # from the inside pixel, 0 to 1
    length = (end - start).detach().square()
    share = (distance - 0.5) * length[:, 1] / length.sum(-1)
    target = torch.where(share > 0, crossings.outside, crossings.inside)
    change = share[:, None] * (colors[crossings.inside] - colors[crossings.outside])
    return colors.index_add(0, target, change).view(batch, height, width, channels)


class SilhouetteAntialias:
    """Antialias of `RasterizedRenderer` for tensors on the CPU; keeps the edges of the last triangulation it saw."""

    def __init__(self) -> None:
        self._known: tuple[Tensor, Edges] | None = None  # in one piece, for threads that draw different models

    def __call__(self, image: Tensor, fragments: Fragments, scene: Scene) -> Tensor:
        known = self._known
        if known is None or known[0] is not scene.faces:
            self._known = known = (scene.faces, find_edges(scene.faces))
        raster = (fragments.pix_to_face, fragments.zbuf)
        crossings = find_crossings(scene.pixels, scene.depth, known[1], *raster, cull_backfaces=True)
        return antialias(image, scene.pixels, crossings)


def _centres(index: Tensor, height: int, width: int) -> Tensor:
    """(P, 2) pixel centres of flat pixel indices."""
    return torch.stack([index % width, index // width % height], dim=-1).double() + 0.5


@njit(inline="always")
def _side(px, py, ax, ay, bx, by):
    """Positive on the side of the edge a-b where a face with corners a, b, p is seen counter-clockwise."""
    return (px - ax) * (by - ay) - (py - ay) * (bx - ax)


@compiled(nogil=True, error_model="numpy")
def _find_winners(pixels, depth, edge_vertices, opposite, cull_backfaces, face_index, zbuf, winner, inside_first):
    """Write for each pixel and its right (0) or lower (1) neighbour the outermost edge between them; others stay -1."""
    outermost = np.zeros(winner.shape)
    for edge in range(edge_vertices.shape[0]):
        a, b = edge_vertices[edge, 0], edge_vertices[edge, 1]
        c, d = opposite[edge, 0], opposite[edge, 1]
        ax, ay, bx, by = float(pixels[a, 0]), float(pixels[a, 1]), float(pixels[b, 0]), float(pixels[b, 1])
        side = _side(float(pixels[c, 0]), float(pixels[c, 1]), ax, ay, bx, by)
        if d >= 0:
            if not side * _side(float(pixels[d, 0]), float(pixels[d, 1]), ax, ay, bx, by) > 0.0:
                continue
        elif side == 0.0 or (cull_backfaces and side < 0.0):
            continue
        za, zb = float(depth[a]), float(depth[b])
        if not (za > 0.0 and zb > 0.0):
            continue
        for direction in range(2):
            if direction == 1:  # the same with rows and columns exchanged, which mirrors the image
                ax, ay, bx, by, side = ay, ax, by, bx, -side
            lines, length = winner.shape[1 + direction], winner.shape[2 - direction]
            first_line = math.ceil(max(min(ay, by) - 0.5, 0.0))
            last_line = math.floor(min(max(ay, by) - 0.5, lines - 1.0))
            if not first_line <= last_line:
                continue
            surface_follows = side * (by - ay) > 0.0  # the surface lies to the right of the edge, or below
            for line in range(int(first_line), int(last_line) + 1):
                t = (line + 0.5 - ay) / (by - ay)
                position = ax + t * (bx - ax) - 0.5
                if not -1.0 < position < length:
                    continue
                # A centre exactly on the edge belongs to the surface: the other pixel is the one beyond the edge.
                first = math.ceil(position) - 1 if surface_follows else math.floor(position)
                if not 0 <= first < length - 1:
                    continue
                distance = position - first
                inside, outside = first, first + 1
                if surface_follows:
                    inside, outside, distance = outside, inside, 1.0 - distance
                if direction == 0:
                    row, column, inside_row, inside_column, outside_row, outside_column = (
                        line,
                        first,
                        line,
                        inside,
                        line,
                        outside,
                    )
                else:
                    row, column, inside_row, inside_column, outside_row, outside_column = (
                        first,
                        line,
                        inside,
                        line,
                        outside,
                        line,
                    )
                if face_index[inside_row, inside_column] < 0:
                    continue
                if face_index[outside_row, outside_column] >= 0:
                    # Beyond a silhouette lies something farther than the surface and than the edge itself.
                    z = zbuf[outside_row, outside_column]
                    if not (zbuf[inside_row, inside_column] < z and 1.0 / ((1.0 - t) / za + t / zb) < z):
                        continue
                if winner[direction, row, column] < 0 or distance > outermost[direction, row, column]:
                    outermost[direction, row, column] = distance
                    winner[direction, row, column] = edge
                    inside_first[direction, row, column] = not surface_follows
