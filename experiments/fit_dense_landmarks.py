"""Fit mofa3d/models/makehuman/landmarks478.json: where MediaPipe's 478 points lie on MakeHuman's base mesh.

    python experiments/fit_dense_landmarks.py --out mofa3d/models/makehuman/landmarks478.json --force

Draws the default model's mean face under several lights, lets MediaPipe's network find its points in every picture and
in its mirror image, and puts their medians back on the surface: about as deep as the network says, the irises on the
eyeballs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from tqdm import tqdm

from mofa3d import Decoder, SemanticCode, load_model
from mofa3d.camera import Camera
from mofa3d.cli import program
from mofa3d.cli.program import Flag
from mofa3d.data.face_landmarker import detect_dense_landmarks
from mofa3d.data.find_faces import find_faces
from mofa3d.data.landmarks_478 import mirrored_mesh
from mofa3d.errors import InputError
from mofa3d.files.folders import refuse_existing
from mofa3d.models.landmarks import LIGHTS
from mofa3d.models.makehuman.build import make_head
from mofa3d.models.makehuman.dense import DENSE_COUNT, SKIN_COUNT, write_points
from mofa3d.models.makehuman.source import data_directory
from mofa3d.models.makehuman.subdivision import spread as spread_columns
from mofa3d.models.nearest_surface import nearest_surface, vertex_normals
from mofa3d.morphable_model import MorphableModel
from mofa3d.numeric_options import check_ranges
from mofa3d.pictures.views import overlay, to_bytes
from mofa3d.renderers import make_renderer

GREY = 0.5  # of the wall behind the face
NOSE = (1, 4, 5, 195, 197, 6)  # points along its ridge, whose depth says how deep all others are
DEPTH_WEIGHT = 0.1  # of a mm of depth against a mm in the picture
MIDDLE = 0.5  # mm to either side
FACING = 0.1  # least z of the normals of skin that is seen
# MediaPipe's points of the inner lips and the row in front of them, which lie in nearly the same places while the mouth
# is closed.
UPPER_LIP = (191, 80, 81, 82, 13, 312, 311, 310, 415, 183, 42, 41, 38, 12, 268, 271, 272, 407)
LOWER_LIP = (95, 88, 178, 87, 14, 317, 402, 318, 324, 96, 89, 179, 86, 15, 316, 403, 319, 325)
LIPS_APART = 20.0  # mm by which they count as apart where points are paired with their mirror images


@dataclass(frozen=True)
class Config:
    out: Path
    """The JSON file to write."""
    size: int = 640
    """Height of the pictures in pixels."""
    force: Flag = False
    """Replace the file if it is there."""

    def __post_init__(self) -> None:
        check_ranges(self, size=(100, 4096))


def main(config: Config) -> None:
    refuse_existing(config.out, config.force)
    model, camera = load_model("makehuman"), Camera(config.size)
    points, spread = find_points(model, camera)
    head = make_head(data_directory())
    mesh = head.mesh
    vertices = model.mean_shape[: mesh.refine.shape[0]].double()
    flat = in_plane(camera.project(vertices).numpy(), camera)
    normals, depth = vertex_normals(vertices.numpy(), mesh.triangles), vertices[:, 2].numpy()
    seen = normals[:, 2] > FACING
    ridge = [np.flatnonzero(seen)[np.linalg.norm(flat[seen] - points[k, :2], axis=1).argmin()] for k in NOSE]
    points[:, 2] += np.median(depth[ridge] - points[list(NOSE), 2])
    skin, down, up = ~(mesh.eyes | mesh.mouth), normals[:, 1] < 0, normals[:, 1] > 0
    irises = np.arange(SKIN_COUNT, DENSE_COUNT)
    rest = np.setdiff1d(np.arange(SKIN_COUNT), [*UPPER_LIP, *LOWER_LIP])
    on_cage, order = [], []
    for wanted, allowed, weight in (
        (rest, skin, DEPTH_WEIGHT),
        (np.array(UPPER_LIP), skin & down, DEPTH_WEIGHT),
        (np.array(LOWER_LIP), skin & up, DEPTH_WEIGHT),
        (irises, mesh.eyes, 0.0),
    ):
        candidates = np.flatnonzero((allowed & seen)[mesh.triangles].all(axis=1))
        surface = np.column_stack([flat, weight * depth])
        found = nearest_surface(points[wanted] * [1, 1, weight], surface, mesh.triangles[candidates])
        corners = mesh.triangles[candidates][found.faces]
        order.append(wanted)
        on_cage.append(sum(mesh.refine[corners[:, k]].multiply(found.weights[:, [k]]) for k in range(3)))
        print(f"distance from the surface: {found.distances.mean():.2f} mm, at most {found.distances.max():.2f}")
    ordered = sparse.vstack(on_cage).tocsr()[np.argsort(np.concatenate(order))]
    rows = symmetric(ordered, points, head.cage.vertices)
    on_base = spread_columns(rows, head.cage.kept, head.cage.base_count)
    write_points(on_base, config.out, "MediaPipe's 478 points, by experiments/fit_dense_landmarks.py")
    print(f"points differ by {spread:.2f} mm between pictures: {config.out}")


def symmetric(
    rows: sparse.csr_matrix, points: Float[np.ndarray, "478 3"], cage: Float[np.ndarray, "V 3"]
) -> sparse.csr_matrix:
    """The points on the subject's right, those on the left as their mirror images, and averages of both in the middle.

    Beside the ears the surface is seen edge-on, and a pixel's breadth is centimetres of depth.
    """
    _, mirror = cKDTree(cage).query(cage * [-1, 1, 1])
    places = points * [1, 1, 0]
    places[list(UPPER_LIP), 2], places[list(LOWER_LIP), 2] = LIPS_APART, -LIPS_APART
    _, other = linear_sum_assignment(np.linalg.norm(places[:, None] - places * [-1, 1, 1], axis=2))
    mirrored = rows[other][:, mirror]
    side = np.sign(points[:, 0]) * (np.abs(points[:, 0]) > MIDDLE)
    keep = np.where(side < 0, 1.0, np.where(side > 0, 0.0, 0.5))
    return (sparse.diags(keep) @ rows + sparse.diags(1 - keep) @ mirrored).tocsr()


def in_plane(pixels: Float[np.ndarray, "K 2"], camera: Camera) -> Float[np.ndarray, "K 2"]:
    """Pixels as mm in the plane through the model's origin, x right and y up from the middle."""
    return (pixels - camera.image_size / 2) * [1, -1] * camera.rest_distance / camera.focal


@torch.no_grad()
def find_points(model: MorphableModel, camera: Camera) -> tuple[Float[np.ndarray, "478 3"], float]:
    """Points of the mean face, mm in the picture's plane through the model's origin and in depth, and their spread."""
    decode, render = Decoder(model, camera), make_renderer("cpu")
    other_side = None
    found = []
    for light in tqdm(LIGHTS, dynamic_ncols=True):
        illumination = torch.zeros(1, 9, 3)
        illumination[0, 1:4] = torch.tensor(light)[:, None]
        code = SemanticCode.zeros(1, model.sizes).replace(illumination=illumination)
        wall = torch.full((1, 3, camera.image_size, camera.image_size), GREY)
        picture = to_bytes(overlay(decode(code), render, wall))[0]
        for mirror in (False, True):
            seen = np.ascontiguousarray(picture[:, ::-1]) if mirror else picture
            faces = find_faces(seen)
            if not faces:
                raise InputError("no face was detected in a rendering of the mean face of the default model")
            points = detect_dense_landmarks(seen, faces[0]).points.astype(np.float64)
            points = np.column_stack(
                [in_plane(points[:, :2], camera), -points[:, 2] * camera.rest_distance / camera.focal]
            )
            if other_side is None:
                other_side = mirrored_mesh(points[:, :2])
            found.append(points[other_side] * [-1, 1, 1] if mirror else points)
    stack = np.array(found)
    return np.median(stack, axis=0), float(np.linalg.norm(stack - np.median(stack, axis=0), axis=2).mean())


if __name__ == "__main__":
    program.run(main, Config, __doc__)
