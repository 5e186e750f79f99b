"""Expression modes: principal components of sparse random activations of MakeHuman's face and expression units."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mofa3d.models.makehuman.source import read_target
from mofa3d.models.makehuman.targets import ANCESTRIES

SAMPLE_COUNT = 1000
ACTIVE_FRACTION = 0.06
# Photographs show smiles and open mouths far more often than any other unit.
FREQUENT_UNITS = ("mouthSmileLeft", "mouthSmileRight", "jawOpen", "mouthUpperUpLeft", "mouthUpperUpRight")


def read_units(data: Path, vertex_count: int, keep: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Displacements (U, V, 3) dm of the 52 face units and the expression units (mean over ancestries), and names."""
    paths = sorted((data / "faceunits01/targets/faceunits").glob("*.target"))
    units = [read_target(path, vertex_count)[keep] for path in paths]
    names = [path.stem for path in paths]
    folder = data / "mpfb2/targets/expression/units"
    for path in sorted((folder / ANCESTRIES[0]).glob("*.target.gz")):
        same = [read_target(folder / ancestry / path.name, vertex_count)[keep] for ancestry in ANCESTRIES]
        units.append(np.mean(same, axis=0))
        names.append(path.name.removesuffix(".target.gz"))
    return np.stack(units), names


def sample_expressions(units: np.ndarray, names: list[str], random: np.random.Generator) -> np.ndarray:
    """Random expressions (M, V, 3), dm: each unit is mostly off, both sides of the face together half of the time."""
    shape = (SAMPLE_COUNT, len(names))
    activation = (random.random(shape) < ACTIVE_FRACTION) * random.random(shape)
    frequent = np.isin(names, FREQUENT_UNITS)
    both = random.random((SAMPLE_COUNT, 1)) < 0.4
    smile = both * random.random((SAMPLE_COUNT, 1))
    activation[:, frequent] = np.maximum(activation[:, frequent], smile * random.random((SAMPLE_COUNT, frequent.sum())))
    for i, name in enumerate(names):
        if name.endswith("Left"):
            other = names.index(name.removesuffix("Left") + "Right")
            symmetric = random.random(SAMPLE_COUNT) < 0.7
            activation[symmetric, other] = activation[symmetric, i]
    return np.einsum("mu,uvc->mvc", activation, units)


def expression_modes(samples: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """Modes (V, 3, count) about the neutral face, scaled to one root mean square, strongest first.

    The samples are not centred: code zero has to be the neutral face.
    """
    flat = (samples * weights[:, None]).reshape(len(samples), -1)
    values, vectors = np.linalg.eigh(flat @ flat.T)
    values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
    modes = (vectors.T @ flat) / np.sqrt(len(samples))
    return np.moveaxis(modes.reshape(count, -1, 3) / weights[:, None], 0, -1)
