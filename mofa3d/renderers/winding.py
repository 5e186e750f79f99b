"""Which way a triangle is turned, from its corners in an image."""

from __future__ import annotations

from torch import Tensor

Point = tuple[Tensor, Tensor]


def doubled_area(a: Point, b: Point, c: Point) -> Tensor:
    """Twice the area of triangles with corners (x, y), positive where they are turned to the camera.

    For images with one axis mirrored, as pixels (y down) and PyTorch3D's NDC (x left) have it: a triangle whose corners
    run counter-clockwise as people see it runs clockwise there.
    """
    (ax, ay), (bx, by), (cx, cy) = a, b, c
    return (cx - ax) * (by - ay) - (bx - ax) * (cy - ay)
