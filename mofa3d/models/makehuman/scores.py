"""How often faces show each of ARKit's units, and which together, learned by ``experiments/learn_expression.py``.

The statistics are those of scores of photographs, 0 at rest and 1 at full strength, under the names of MakeHuman's face
units, which are ARKit's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mofa3d.errors import InputError
from mofa3d.files.whole import write_text

PATH = Path(__file__).with_name("scores.json")
LEAST = 0.1  # standard deviation of a face unit; what photographs lack of it, the unit moves by itself
ALONE = 0.06  # of what every unit moves by itself at least
OTHERS = 0.05  # of MakeHuman's own units, which are mostly sums of ARKit's, and go far beyond them
UNSEEN = "tongueOut"  # ARKit's unit that the network has no score of
# Lips that close over an open jaw. Alone they would go through each other, and the other way the teeth would.
TOGETHER, SELDOM = {"mouthClose": "jawOpen"}, 0.04


@dataclass(frozen=True)
class Scores:
    """The statistics.

    Attributes:
        names: of the units.
        mean: (K,) of their strengths.
        covariance: (K, K).
        photographs: number of faces that they were learned from.
        source: where these come from.
    """

    names: tuple[str, ...]
    mean: Float[np.ndarray, "K"]
    covariance: Float[np.ndarray, "K K"]
    photographs: int
    source: str

    def covariance_of(self, units: Sequence[str]) -> Float[np.ndarray, "U U"]:
        """Covariance of the strengths of units, of which `LEAST`, `ALONE` and `OTHERS` say what photographs do not.

        The network never sees some units, as the tongue, puffed cheeks and sneers, and codes should reach them all.
        """
        place = {name: number for number, name in enumerate(units)}
        chosen = [number for number, name in enumerate(self.names) if name in place]
        rows = [place[self.names[number]] for number in chosen]
        result = np.zeros((len(units), len(units)))
        result[np.ix_(rows, rows)] = self.covariance[np.ix_(chosen, chosen)]
        for name, row in place.items():
            face = name in (*self.names, UNSEEN)
            missing = max(ALONE**2, LEAST**2 - result[row, row]) if face else OTHERS**2
            missing = SELDOM**2 if name in TOGETHER else missing
            alone = np.zeros(len(units))
            alone[[row, place.get(TOGETHER.get(name, name), row)]] = 1
            result += missing * np.outer(alone, alone)
        return result


def save_scores(scores: Scores, path: Path) -> None:
    """Write statistics as JSON text, atomically."""
    lower = [row[: number + 1].round(6).tolist() for number, row in enumerate(scores.covariance)]
    about = {"source": scores.source, "photographs": scores.photographs, "names": scores.names}
    numbers = {"mean": scores.mean.round(6).tolist(), "covariance": lower}
    write_text(path, json.dumps(about | numbers).replace("], [", "],\n [") + "\n")


def read_scores(path: Path = PATH) -> Scores:
    """Read what `save_scores` wrote.

    Raises:
        InputError: the file is missing, damaged, or holds no statistics.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        names, mean = tuple(found["names"]), np.array(found["mean"], dtype=float)
        covariance = np.zeros((len(names), len(names)))
        for number, row in enumerate(found["covariance"]):
            covariance[number, : number + 1] = row
        covariance = np.tril(covariance) + np.tril(covariance, -1).T
        if mean.shape != (len(names),) or len(found["covariance"]) != len(names):
            raise ValueError(f"{len(names)} names, {len(mean)} means, {len(found['covariance'])} rows of covariances")
        return Scores(names, mean, covariance, int(found["photographs"]), str(found["source"]))
    except (OSError, ValueError, KeyError, TypeError) as error:  # of json, and above
        raise InputError(
            f"{path} contains no valid statistics of expressions ({error}); install mofa3d again"
        ) from error
