"""Expression modes: principal components of MakeHuman's face and expression units as photographs show them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from mofa3d.models.makehuman.source import read_target
from mofa3d.models.makehuman.targets import ANCESTRIES


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


def expression_modes(
    movements: Float[np.ndarray, "U V 3"],
    weights: Float[np.ndarray, "V"],
    covariance: Float[np.ndarray, "U U"],
    count: int,
) -> Float[np.ndarray, "U K"]:
    """The strengths of the units in each mode, scaled to one standard deviation, strongest mode first.

    Code zero is the neutral face, not the average photograph, which smiles by 0.8 standard deviations.

    Args:
        movements: of the units at full strength.
        weights: of the vertices.
        covariance: of the units' strengths.
        count: of the modes, at most U.
    """
    values, vectors = np.linalg.eigh(covariance)
    factor = vectors * np.sqrt(np.maximum(values, 0))  # a unit a row: what independent N(0, 1) numbers do with it
    flat = factor.T @ (movements * weights[:, None]).reshape(len(movements), -1)
    _, turns = np.linalg.eigh(flat @ flat.T)
    return factor @ turns[:, ::-1][:, :count]


def moved(movements: Float[np.ndarray, "U V 3"], mixing: Float[np.ndarray, "U K"]) -> Float[np.ndarray, "V 3 K"]:
    """What modes do to vertices."""
    return np.einsum("uvc,uk->vck", movements, mixing, optimize=True)
