"""Fit mofa3d/data/landmark_map.json: each of the 68 iBUG points as a weighted sum of a few of the mesh's 478.

    python experiments/fit_landmark_map.py PHOTOS --out mofa3d/data/landmark_map.json

PHOTOS is a folder of photographs with a landmarks_68.csv. Photographs of a tenth of the people are left out and tell
how far the mapped points lie from the given ones.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from tqdm import tqdm
from tyro.conf import Positional

from mofa3d.cli import program
from mofa3d.cli.program import Flag
from mofa3d.data.batches.augment import MIRRORED_68
from mofa3d.data.corpus.examine import holds
from mofa3d.data.corpus.split import held_out, identity_of
from mofa3d.data.face_landmarker import detect_dense_landmarks
from mofa3d.data.find_faces import find_faces
from mofa3d.data.landmark_table import find_landmarks
from mofa3d.data.landmarks_478 import CONTOUR, mirrored_mesh, turn_of
from mofa3d.data.photo import find_photos, read_photo
from mofa3d.errors import InputError
from mofa3d.files.folders import refuse_existing
from mofa3d.files.whole import write_text

OUTER_EYES = (33, 263)
HELD_OUT = 0.1  # of the people
NEIGHBOURS = 16  # points of the mesh that are tried for one of the 68
MOST = 5  # points of the mesh in a sum
WORTH = 0.985  # what another point must bring the error down to
RIDGE = 1e-3  # keeps the weights from cancelling each other
TAME = 0.03  # of the eyes' distance: errors above it count less (Huber)
ROUNDS = 4  # of weighting them


@dataclass(frozen=True)
class Config:
    photos: Positional[Path]
    """A folder of photographs with given landmarks."""
    out: Path
    """The JSON file to write."""
    every: int = 1
    """Take every so many photographs."""
    force: Flag = False
    """Replace the file if it is there."""


def main(config: Config) -> None:
    refuse_existing(config.out, config.force)
    names = [path.relative_to(config.photos).as_posix() for path in find_photos(config.photos)]
    given = find_landmarks(config.photos.resolve(), names)
    if not given:
        raise InputError(f"no photograph of {config.photos} has given landmarks; put a landmarks_68.csv beside them")
    meshes, targets, people = [], [], []
    for name in tqdm(sorted(given)[:: config.every], dynamic_ncols=True):
        photo = read_photo(config.photos / name)
        faces = [face for face in find_faces(photo) if holds(face, given[name])]
        if faces:
            mesh, target = upright(detect_dense_landmarks(photo, faces[0]).points, given[name])
            meshes.append(mesh)
            targets.append(target)
            people.append(identity_of(name.replace("_t.", ".")))  # as ytf names some frames
    mesh, target, out = np.array(meshes), np.array(targets), np.array(held_out(people, HELD_OUT, seed=0))
    rows = fit(mesh[~out], target[~out])
    text = ",\n ".join(json.dumps(row) for row in rows)
    source = "experiments/fit_landmark_map.py; numbers are points of MediaPipe's face mesh"
    write_text(config.out, f'{{"source": "{source}", "points": [\n {text}\n]}}\n')
    for label, chosen in (("fitted", ~out), ("left out", out)):
        if chosen.any():
            distance = 100 * np.linalg.norm(apply(rows, mesh[chosen]) - target[chosen], axis=-1)
            print(f"{label}, {chosen.sum()} faces: {distance.mean():.2f} % of the eyes' distance")


def upright(
    mesh: Float[np.ndarray, "478 3"], target: Float[np.ndarray, "68 2"]
) -> tuple[Float[np.ndarray, "478 2"], Float[np.ndarray, "68 2"]]:
    """Both with the outer corners of the eyes at (0, 0) and (1, 0), so that large and turned faces count the same."""
    flat = mesh[:, :2].astype(np.float64) @ [1, 1j]
    start, across = flat[OUTER_EYES[0]], flat[OUTER_EYES[1]] - flat[OUTER_EYES[0]]
    both = [(points - start) / across for points in (flat, target.astype(np.float64) @ [1, 1j])]
    return tuple(np.stack([points.real, points.imag], axis=-1) for points in both)


def fit(mesh: Float[np.ndarray, "K 478 2"], target: Float[np.ndarray, "K 68 2"]) -> list[dict]:
    """A row of the map for each of the 68 points; the mirror images are fitted too, with the same weights."""
    other_side = mirrored_mesh(np.median(mesh, axis=0))
    flip = np.array([-1.0, 1.0])
    meshes = np.concatenate([mesh, mesh[:, other_side] * flip])
    targets = np.concatenate([target, target[:, list(MIRRORED_68)] * flip])
    rows: list[dict] = [{}] * 68
    for number in range(68):
        twin = MIRRORED_68[number]
        if number <= twin:
            rows[number] = fit_point(meshes, targets[:, number], turning=number in CONTOUR)
            rows[twin] = mirrored(rows[number], other_side) if twin != number else symmetric(rows[number], other_side)
    return rows


def fit_point(mesh: Float[np.ndarray, "K 478 2"], target: Float[np.ndarray, "K 2"], turning: bool) -> dict:
    """Points of the mesh, one after the other as long as each is worth it, and their weights."""
    turn = turn_of(mesh)[:, None, None]
    near = np.median(np.linalg.norm(mesh - target[:, None], axis=-1), axis=0).argsort()[:NEIGHBOURS]
    chosen: list[int] = []
    best = (np.inf, np.zeros(0))
    while len(chosen) < MOST:
        left = [int(one) for one in near if one not in chosen]
        tries = {one: solve(mesh[:, [*chosen, one]], turn, target, turning) for one in left}
        one = min(tries, key=lambda one: tries[one][0])
        if tries[one][0] > WORTH * best[0]:
            break
        chosen, best = [*chosen, one], tries[one]
    weights = best[1].round(5)
    weights[0] += 1 - weights[: len(chosen)].sum()
    row = {"mesh": chosen, "weights": weights[: len(chosen)].round(5).tolist()}
    if turning:
        rest = weights[len(chosen) :]
        rest[0] -= rest.sum()
        row["turning"] = rest.round(5).tolist()
    return row


def solve(
    points: Float[np.ndarray, "K count 2"],
    turn: Float[np.ndarray, "K 1 1"],
    target: Float[np.ndarray, "K 2"],
    turning: bool,
) -> tuple[float, Float[np.ndarray, "weights"]]:
    """Mean distance, and the weights: those of the first point follow from the others."""
    first = points[:, :1]
    columns = [points[:, 1:] - first]
    if turning:
        columns.append(turn * columns[0])
    system = np.concatenate(columns, axis=1).transpose(0, 2, 1)  # (K, 2, unknowns)
    rest = target - first[:, 0]
    weights, unknown = np.ones(len(points)), np.zeros(system.shape[2])
    for _ in range(ROUNDS):
        scaled = system * weights[:, None, None]
        normal = np.einsum("kij,kil->jl", scaled, system) + RIDGE * len(points) * 0.01 * np.eye(system.shape[2])
        unknown = np.linalg.solve(normal, np.einsum("kij,ki->j", scaled, rest)) if system.shape[2] else unknown
        distance = np.linalg.norm(rest - system @ unknown, axis=1)
        weights = np.minimum(1, TAME / np.maximum(distance, 1e-9))
    count = points.shape[1]
    fixed = np.concatenate([[1 - unknown[: count - 1].sum()], unknown[: count - 1]])
    moving = np.concatenate([[-unknown[count - 1 :].sum()], unknown[count - 1 :]]) if turning else np.zeros(0)
    return float(np.minimum(distance, 3 * TAME).mean()), np.concatenate([fixed, moving])


def mirrored(row: dict, other_side: list[int]) -> dict:
    """The row of the point on the other side of the face, for which a turn has the other sign."""
    twin = {"mesh": [other_side[number] for number in row["mesh"]], "weights": row["weights"]}
    return twin | ({"turning": [-weight for weight in row["turning"]]} if "turning" in row else {})


def symmetric(row: dict, other_side: list[int]) -> dict:
    """The average of a row and its mirror image, for points in the middle of the face."""
    fixed: dict[int, float] = {}
    moving: dict[int, float] = {}
    for one in (row, mirrored(row, other_side)):
        for number, weight, change in zip(
            one["mesh"], one["weights"], one.get("turning", [0.0] * len(one["mesh"])), strict=True
        ):
            fixed[number] = fixed.get(number, 0.0) + weight / 2
            moving[number] = moving.get(number, 0.0) + change / 2
    result = {"mesh": list(fixed), "weights": [round(weight, 6) for weight in fixed.values()]}
    return result | ({"turning": [round(moving[number], 6) for number in fixed]} if "turning" in row else {})


def apply(rows: list[dict], mesh: Float[np.ndarray, "K 478 2"]) -> Float[np.ndarray, "K 68 2"]:
    """What the rows make of meshes."""
    turn = turn_of(mesh)[:, None, None]
    result = np.zeros((len(mesh), 68, 2))
    for number, row in enumerate(rows):
        change = np.array(row.get("turning", [0.0] * len(row["mesh"])))
        weights = np.array(row["weights"])[:, None] + turn * change[:, None]
        result[:, number] = (weights * mesh[:, row["mesh"]]).sum(axis=1)
    return result


if __name__ == "__main__":
    program.run(main, Config, __doc__)
