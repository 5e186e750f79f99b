"""A scan in millimetres with the points that place it, and the part of it that is measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import trimesh
from jaxtyping import Float, Int

from mofa3d.errors import InputError
from mofa3d.evaluation.scans.folder import SCAN_SUFFIXES, ScanFiles
from mofa3d.evaluation.scans.landmarks import LEAST, SevenPoints, read_scan_landmarks
from mofa3d.models.alignment import align_by_shape, similarity
from mofa3d.models.nearest_surface import vertex_normals

Unit = Literal["mm", "cm", "m"]
MILLIMETRES = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
EYES = (60.0, 130.0)  # mm between the outer corners, least and most: children to large adults, with a margin
HEADS = (80.0, 3000.0)  # mm, longest side of a scan
RADIUS, RAISED = 1.4, 0.3  # of the region, see `region`


@dataclass(frozen=True)
class FaceMesh:
    """A face to be compared.

    Attributes:
        vertices: mm.
        faces: triangles.
        landmarks: see `mofa3d.evaluation.scans.landmarks`.
    """

    vertices: Float[np.ndarray, "N 3"]
    faces: Int[np.ndarray, "F 3"]
    landmarks: SevenPoints


def read_scan(files: ScanFiles, unit: Unit, average: FaceMesh) -> FaceMesh:
    """A scan with all of its landmarks.

    Points that no file gives are those of the average face once it lies on the scan, so that no system's own answer
    decides where it is measured. Without any, the scan must look along +Z with +Y up, the nose foremost.

    Args:
        files: mesh and landmarks.
        unit: of both.
        average: the face model's.

    Raises:
        InputError: a file cannot be read, or its size is not that of a face in this unit.
    """
    vertices, faces = _read_mesh(files.mesh)
    vertices = vertices * MILLIMETRES[unit]
    longest = float(np.ptp(vertices, axis=0).max())
    if not HEADS[0] <= longest <= HEADS[1]:
        raise InputError(
            f"{files.mesh} is {longest:.4g} mm long if its unit is {unit}; expected {HEADS[0]:.0f} to {HEADS[1]:.0f}; "
            f"give another of {', '.join(MILLIMETRES)} as --scan-unit"
        )
    points = np.full((7, 3), np.nan)
    if files.landmarks is not None:
        points = read_scan_landmarks(files.landmarks) * MILLIMETRES[unit]
        apart = float(np.linalg.norm(points[0] - points[3]))
        if np.isfinite(apart) and not EYES[0] <= apart <= EYES[1]:
            raise InputError(
                f"{files.landmarks} puts the outer corners of the eyes {apart:.4g} mm apart if its unit is {unit}; "
                f"expected {EYES[0]:.0f} to {EYES[1]:.0f}; check the order of the points, and --scan-unit"
            )
    return FaceMesh(vertices, faces, complete(points, vertices, faces, average))


def complete(
    points: SevenPoints, vertices: Float[np.ndarray, "N 3"], faces: Int[np.ndarray, "F 3"], average: FaceMesh
) -> SevenPoints:
    """Landmarks (mm, NaN where unknown) with those of the average face laid over the scan in the gaps."""
    known = np.isfinite(points).all(axis=1)
    if known.all():
        return points
    if known.sum() >= LEAST:
        laid = similarity(average.landmarks[known], points[known])
    else:
        normals = vertex_normals(average.vertices, average.faces), vertex_normals(vertices, faces)
        laid = align_by_shape(average.vertices, normals[0], vertices, normals[1])
    return np.where(known[:, None], points, laid(average.landmarks))


def region(scan: FaceMesh) -> Float[np.ndarray, "K 3"]:
    """Vertices (mm) of the part that is measured, as in the NoW challenge.

    A ball of 1.4 times the mean of the distance between the outer corners of the eyes and the height of the nose, about
    85 to 95 mm, around the point three tenths of the way from the base of the nose to its bridge.

    Raises:
        InputError: hardly anything lies there.
    """
    outer_right, inner_right, inner_left, outer_left, base = scan.landmarks[:5]
    bridge = (inner_right + inner_left) / 2
    radius = RADIUS * (np.linalg.norm(outer_right - outer_left) + np.linalg.norm(bridge - base)) / 2
    centre = base + RAISED * (bridge - base)
    inside = np.linalg.norm(scan.vertices - centre, axis=1) <= radius
    if inside.sum() < 100:
        raise InputError(
            f"only {int(inside.sum())} vertices of the scan lie within {radius:.0f} mm of the face's centre; check "
            "that its landmarks are in its own coordinates"
        )
    return scan.vertices[inside]


def _read_mesh(path: Path) -> tuple[Float[np.ndarray, "N 3"], Int[np.ndarray, "F 3"]]:
    remedy = f"give a mesh of triangles as {', '.join(SCAN_SUFFIXES)}"
    try:
        mesh = trimesh.load_mesh(path, process=False, skip_materials=True)
        vertices, faces = np.array(mesh.vertices, dtype=np.float64), np.array(mesh.faces, dtype=np.int64)
    except Exception as error:  # damaged files raise whatever the reader stumbles over
        raise InputError(f"the scan {path} cannot be read ({error}); {remedy}") from None
    if not len(faces):
        raise InputError(f"the scan {path} has {len(vertices)} vertices and no triangle; {remedy}")
    if faces.max() >= len(vertices) or faces.min() < 0:
        raise InputError(f"the scan {path} has triangles with vertices that it lacks; {remedy}")
    used = np.zeros(len(vertices), dtype=bool)
    used[faces] = True
    if not np.isfinite(vertices[used]).all():
        raise InputError(f"the scan {path} has vertices that are not finite; clean it, or leave it out")
    return vertices[used], (used.cumsum() - 1)[faces]
