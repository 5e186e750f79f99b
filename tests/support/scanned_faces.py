"""A face as a function, so that it can be scanned with any triangulation, and folders of such scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import trimesh
from scipy.spatial import Delaunay
from tiny_model import make_tiny_model

from mofa3d.evaluation.scans.landmarks import IBUG, NAMES
from mofa3d.evaluation.scans.scan import FaceMesh
from mofa3d.morphable_model import MorphableModel

# x and y (mm) of the seven points, on a face whose outer eye corners are 90 mm apart.
PLACES = np.array([[-45, 32], [-16, 30], [16, 30], [45, 32], [0, -14], [-25, -45], [25, -45]], dtype=np.float64)


def depth(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """z of the surface: an ellipsoid with a nose, eye sockets and lips."""
    head = 90 * np.sqrt(np.maximum(1 - (x / 85) ** 2 - (y / 120) ** 2, 0.02))
    nose = 22 * np.exp(-((x / 11) ** 2) - ((y + 2) / 20) ** 2)
    sockets = 7 * np.exp(-(((np.abs(x) - 30) / 14) ** 2) - ((y - 31) / 10) ** 2)
    lips = 6 * np.exp(-((x / 22) ** 2) - ((y + 45) / 9) ** 2)
    return head + nose - sockets + lips


def make_face(step: float = 3.0, seed: int | None = None, radius: tuple[float, float] = (78, 105)) -> FaceMesh:
    """The face sampled on a grid, or at random places with the same density."""
    across, up = (np.arange(-r, r + step / 2, step) for r in radius)
    plane = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    if seed is not None:
        plane = np.random.default_rng(seed).uniform(-1, 1, plane.shape) * radius
    plane = plane[(plane[:, 0] / radius[0]) ** 2 + (plane[:, 1] / radius[1]) ** 2 <= 1]
    faces = Delaunay(plane).simplices.astype(np.int64)
    corners = plane[faces]
    edges = corners[:, 1:] - corners[:, :1]
    clockwise = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0] < 0
    faces[clockwise] = faces[clockwise][:, ::-1]
    return FaceMesh(raised(plane), faces, raised(PLACES))


def make_face_model() -> MorphableModel:
    """The tiny model with the seven points where a face has them."""
    model = make_tiny_model(40)
    centres = model.mean_shape[model.faces].mean(dim=1)
    places = torch.tensor(PLACES).float()
    model.landmark_faces[list(IBUG)] = torch.cdist(places, centres[:, :2]).argmin(dim=1)
    return model


def raised(plane: np.ndarray) -> np.ndarray:
    return np.column_stack([plane, depth(plane[:, 0], plane[:, 1])])


def write_person(folder: Path, face: FaceMesh, suffix: str = ".ply", landmarks: bool = True) -> None:
    """A folder of the simple layout, without photographs."""
    folder.mkdir(parents=True)
    trimesh.Trimesh(face.vertices, face.faces, process=False).export(folder / f"scan{suffix}")
    if landmarks:
        lines = [" ".join(f"{value:.6f}" for value in point) for point in face.landmarks]
        (folder / "landmarks.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def picked_points(landmarks: np.ndarray) -> str:
    """MeshLab's file of picked points, as NoW has them."""
    points = "".join(
        f' <point x="{x:.6f}" y="{y:.6f}" z="{z:.6f}" active="1" name="{name}"/>\n'
        for name, (x, y, z) in zip(NAMES, landmarks, strict=True)
    )
    head = '<DocumentData>\n  <DateTime date="2018-04-24" time="10:00:00"/>\n  <User name="a"/>\n </DocumentData>\n'
    return f"<!DOCTYPE PickedPoints>\n<PickedPoints>\n {head}{points}</PickedPoints>\n"
