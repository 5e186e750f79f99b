"""What the statistics of real people say about MakeHuman's targets, learned by ``experiments/learn_shape.py``.

A head is scale · (base + Σ weightᵢ · targetᵢ) + remainder; weights and remainder have a mean and, for each shape
column, what one standard deviation adds. The remainder is what no target reaches.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from mofa3d.errors import InputError
from mofa3d.files.given import read_tensors
from mofa3d.files.whole import write_tensors

PATH = Path(__file__).with_name("people.safetensors")


@dataclass(frozen=True)
class People:
    """The statistics.

    Attributes:
        names: of the targets.
        scale: mm that a decimetre of MakeHuman is in people of average size.
        weights: (T,) of the targets, in the average.
        weight_columns: (T, K) per standard deviation.
        skin: (S,) the vertices of the base mesh that the remainder moves.
        remainder: (S, 3) mm, in the average.
        remainder_columns: (S, 3, K) mm per standard deviation.
        source: the population.
    """

    names: tuple[str, ...]
    scale: float
    weights: Float[np.ndarray, "T"]
    weight_columns: Float[np.ndarray, "T K"]
    skin: Int[np.ndarray, "S"]
    remainder: Float[np.ndarray, "S 3"]
    remainder_columns: Float[np.ndarray, "S 3 K"]
    source: str


def save_people(people: People, path: Path) -> None:
    """Write statistics as half-precision numbers, atomically."""
    tensors = {
        "weights": torch.from_numpy(people.weights).half(),
        "weight_columns": torch.from_numpy(people.weight_columns).half(),
        "skin": torch.from_numpy(people.skin).int(),
        "remainder": torch.from_numpy(people.remainder).half(),
        "remainder_columns": torch.from_numpy(people.remainder_columns).half(),
    }
    about = {"targets": people.names, "scale": people.scale, "source": people.source}
    write_tensors(path, {name: value.contiguous() for name, value in tensors.items()}, {"mofa3d": json.dumps(about)})


def read_people(path: Path = PATH) -> People:
    """Read what `save_people` wrote.

    Raises:
        InputError: the file is missing, damaged, or holds no statistics.
    """
    try:
        tensors, metadata = read_tensors(path)
        about = json.loads(metadata["mofa3d"])
        numbers = {name: value.double().numpy() for name, value in tensors.items() if name != "skin"}
        people = People(
            names=tuple(about["targets"]),
            scale=float(about["scale"]),
            skin=tensors["skin"].long().numpy(),
            source=str(about["source"]),
            **numbers,
        )
    except (ValueError, KeyError, TypeError) as error:  # of json
        raise InputError(f"{path} contains no valid statistics of people ({error}); install mofa3d again") from error
    targets, skin, columns = len(people.names), len(people.skin), people.weight_columns.shape[-1]
    expected = {
        "weights": (targets,),
        "weight_columns": (targets, columns),
        "remainder": (skin, 3),
        "remainder_columns": (skin, 3, columns),
    }
    for name, shape in expected.items():
        if getattr(people, name).shape != shape:
            found = getattr(people, name).shape
            raise InputError(f"{path}: {name} has the shape {found}, expected {shape}; install mofa3d again")
    return people
