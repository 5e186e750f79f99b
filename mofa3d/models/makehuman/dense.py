"""MediaPipe's 478 points on the default model, as far as its surface has them, and the 68 iBUG points by them.

Files say where each lies on MakeHuman's base mesh, as a weighted sum of a few of its vertices; the programs that wrote
them are ``experiments/fit_dense_landmarks.py`` and ``place_landmarks.py``. The 68 are where annotators of photographs
put them, whom the map of `mofa3d.data.landmarks_478` was fitted to: anatomy alone would have the ridge of the nose and
the chin 8 mm higher.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import scipy.sparse as sparse
import torch
from jaxtyping import Float

from mofa3d.errors import InputError
from mofa3d.files.given import read_tensors
from mofa3d.files.whole import write_tensors, write_text
from mofa3d.models.makehuman.cage import Cage
from mofa3d.models.makehuman.head_mesh import HeadMesh
from mofa3d.models.nearest_surface import nearest_surface
from mofa3d.morphable_model import LandmarkBarycentric

PATH = Path(__file__).with_name("landmarks478.json")
IBUG_PATH = Path(__file__).with_name("ibug68.json")
DENSE_COUNT = 478
SKIN_COUNT = 468  # the first ones; those of the irises, five for each eye, come after them
# Around the face, from the middle of the hairline to the subject's left; hair seldom lies within.
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
LEAST_WEIGHT = 0.01  # smaller ones are left out of the file


def attach_dense(
    on_base: sparse.csr_matrix, cage: Cage, mean: Float[np.ndarray, "V 3"], mesh: HeadMesh
) -> LandmarkBarycentric:
    """The points on a refined head: those of the irises on the eyeballs, all others on skin and lips.

    Args:
        on_base: (478, B) weights of the base mesh's vertices, see `read_points`.
        cage: what is kept of the base mesh.
        mean: its vertices on the average head with its lips apart, mm; of lips that meet, either would be the nearest.
        mesh: what it is refined to.
    """
    points, vertices, triangles = on_base[:, cage.kept] @ mean, mesh.refine @ mean, mesh.triangles
    faces, weights = np.zeros(DENSE_COUNT, np.int64), np.zeros((DENSE_COUNT, 3))
    iris = np.arange(DENSE_COUNT) >= SKIN_COUNT
    for wanted, allowed in ((~iris, ~(mesh.eyes | mesh.mouth)), (iris, mesh.eyes)):
        candidates = np.flatnonzero(allowed[triangles].all(axis=1))
        found = nearest_surface(points[wanted], vertices, triangles[candidates])
        faces[wanted], weights[wanted] = candidates[found.faces], found.weights
    return LandmarkBarycentric(torch.from_numpy(faces), torch.from_numpy(weights).float())


def attach_ibug(
    on_base: sparse.csr_matrix, cage: Cage, mean: Float[np.ndarray, "V 3"], mesh: HeadMesh
) -> LandmarkBarycentric:
    """The 68 iBUG points on skin and lips; arguments as of `attach_dense`."""
    candidates = np.flatnonzero((~(mesh.eyes | mesh.mouth))[mesh.triangles].all(axis=1))
    found = nearest_surface(on_base[:, cage.kept] @ mean, mesh.refine @ mean, mesh.triangles[candidates])
    faces, weights = torch.from_numpy(candidates[found.faces]), torch.from_numpy(found.weights).float()
    return LandmarkBarycentric(faces, weights)


def write_points(on_base: sparse.csr_matrix, path: Path, what: str) -> None:
    """Write where points lie on the base mesh, as JSON; `what` says which they are, and who wrote them."""
    rows = []
    for number in range(on_base.shape[0]):
        row = on_base[number].tocoo()
        order = np.argsort(-row.data)
        chosen = order[row.data[order] >= LEAST_WEIGHT]
        weights = row.data[chosen] / row.data[chosen].sum()
        rows.append(json.dumps({"vertices": row.col[chosen].tolist(), "weights": weights.round(4).tolist()}))
    comment = f"{what}, on the MakeHuman base mesh (base.obj, 0-based vertex indices as in file order)"
    text = ",\n  ".join(rows)
    write_text(path, f'{{"comment": {json.dumps(comment)},\n "points": [\n  {text}\n]}}\n')


def read_points(base_count: int, path: Path = PATH) -> sparse.csr_matrix:
    """(478 or 68, B) weights of the base mesh's vertices, each row with the sum 1.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        points = json.loads(path.read_text(encoding="utf-8"))["points"]
        rows = np.repeat(np.arange(len(points)), [len(point["vertices"]) for point in points])
        columns = np.concatenate([point["vertices"] for point in points])
        weights = np.concatenate([np.array(point["weights"]) / np.sum(point["weights"]) for point in points])
        return sparse.csr_matrix((weights, (rows, columns)), shape=(len(points), base_count))
    except (OSError, ValueError, KeyError, TypeError) as error:  # of json and NumPy
        raise InputError(f"{path} contains no valid landmarks ({error}); install mofa3d again") from error


def save_barycentric(points: LandmarkBarycentric, path: Path) -> None:
    """Write points on a triangulation to a ``.safetensors`` file, atomically."""
    write_tensors(path, {"faces": points.faces, "weights": points.weights}, {})


def read_barycentric(path: Path) -> LandmarkBarycentric:
    """Read what `save_barycentric` wrote.

    Raises:
        InputError: the file is missing, damaged, or holds no such points.
    """
    try:
        tensors, _ = read_tensors(path)
        return LandmarkBarycentric(tensors["faces"].long(), tensors["weights"])
    except (ValueError, KeyError) as error:  # of read_tensors and the dictionary
        raise InputError(f"{path} contains no valid landmarks ({error}); install mofa3d again") from error
