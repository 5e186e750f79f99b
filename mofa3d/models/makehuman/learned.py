"""The default model's reflectance, learned from photographs by ``experiments/learn_reflectance.py``."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mofa3d.errors import InputError
from mofa3d.files.given import read_tensors
from mofa3d.files.whole import write_tensors
from mofa3d.morphable_model import MorphableModel

PATH = Path(__file__).with_name("reflectance.safetensors")


def save_reflectance(model: MorphableModel, path: Path, count: int | None = None) -> None:
    """Write a model's reflectance as half-precision numbers, atomically, with a hash of the mesh it belongs to.

    Args:
        model: the model.
        path: the file to write.
        count: of its first vertices that are written; all of them by default.
    """
    tensors = {
        "mean_reflectance": model.mean_reflectance[:count].half(),
        "reflectance_basis": model.reflectance_basis[:count].half(),
    }
    write_tensors(path, tensors, {"mofa3d": json.dumps({"mesh": mesh_hash(model.faces, count)})})


def known_count(path: Path = PATH) -> int:
    """The number of vertices of a file that `save_reflectance` wrote."""
    return len(read_tensors(path)[0]["mean_reflectance"])


def with_learned_reflectance(model: MorphableModel, path: Path = PATH) -> MorphableModel:
    """The same geometry with the reflectance of a file that `save_reflectance` wrote; see `learned_reflectance`."""
    return model.with_reflectance(*learned_reflectance(model.faces, model.mean_reflectance, path))


def learned_reflectance(
    faces: Int[Tensor, "F 3"], mean_reflectance: Float[Tensor, "N 3"], path: Path = PATH
) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N 3 K"]]:
    """Mean and modes of a file that `save_reflectance` wrote.

    Args:
        faces: the triangles that they are for.
        mean_reflectance: of all vertices; those beyond the file's own, as the teeth are, keep it, and do not vary.
        path: the file.

    Raises:
        InputError: the file is missing, damaged, or belongs to another mesh.
    """
    try:
        tensors, metadata = read_tensors(path)
        mean, basis = tensors["mean_reflectance"], tensors["reflectance_basis"]
        mesh = json.loads(metadata["mofa3d"])["mesh"]
    except (ValueError, KeyError, TypeError) as error:  # of json
        raise InputError(f"{path} contains no valid reflectance ({error}); install mofa3d again") from error
    known, count = len(mean), len(mean_reflectance)
    if known > count or mesh != mesh_hash(faces, known):
        raise InputError(
            f"the reflectance in {path} was learned on another mesh than this one of {count} vertices; "
            'learn it again with experiments/learn_reflectance.py, or use reflectance="pigment"'
        )
    still = torch.zeros(count - known, *basis.shape[1:], dtype=torch.float32)
    return torch.cat([mean.float(), mean_reflectance[known:]]), torch.cat([basis.float(), still])


def mesh_hash(faces: Int[Tensor, "F 3"], count: int | None = None) -> str:
    """Of the triangles between the first `count` vertices, which keep their meaning as long as it stays the same."""
    chosen = faces if count is None else faces[(faces < count).all(dim=1)]
    return hashlib.sha256(chosen.cpu().contiguous().numpy().tobytes()).hexdigest()[:16]
