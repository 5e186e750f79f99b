"""Named measures of a face, such as the width of its jaw, and the directions of the shape code that change them.

A measure is a distance between two of the 68 iBUG points along an axis, which is linear in the shape code. Of all
changes that give a measure another value and leave the other measures as they are, a direction is the most probable
one under the model's prior N(0, 1): the columns of the pseudo-inverse of the measures' gradients.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mofa3d.morphable_model import MorphableModel

X, Y, Z = 0, 1, 2
# Label, and the axis along which the first points lie further than the second: a mean of several points for each.
# +X is to the subject's left, where iBUG's numbers of the jaw and the eyes are the higher ones.
MEASURES: dict[str, tuple[str, int, tuple[int, ...], tuple[int, ...]]] = {
    "faceWidth": ("Face width", X, (15, 16), (0, 1)),
    "jawWidth": ("Jaw width", X, (11, 12), (4, 5)),
    "chinWidth": ("Chin width", X, (9, 10), (6, 7)),
    "chinHeight": ("Chin height", Y, (57,), (8,)),
    "chinForward": ("Chin forward", Z, (8,), (0, 16)),
    "noseLength": ("Nose length", Y, (27,), (33,)),
    "noseWidth": ("Nose width", X, (35,), (31,)),
    "noseForward": ("Nose tip forward", Z, (30,), (31, 35)),
    "mouthWidth": ("Mouth width", X, (54,), (48,)),
    "philtrumLength": ("Nose to mouth", Y, (33,), (51,)),
    "lipFullness": ("Lip fullness", Y, (51, 66), (62, 57)),
    "eyeDistance": ("Distance of the eyes", X, (42, 45), (36, 39)),
    "eyeWidth": ("Eye width", X, (39, 45), (36, 42)),
    "browHeight": ("Brow height", Y, (19, 24), (36, 39, 42, 45)),
}
FEWEST = 40  # coefficients of shape, below which the measures cannot be told apart
RIDGE = 0.02  # of the measures' mean variance: what hardly varies by itself brings other changes along


@dataclass(frozen=True)
class Measure:
    """A measure that can be changed.

    Attributes:
        label: in plain words.
        direction: (S,) change of the shape code per millimetre.
        deviation: standard deviation among faces of the model, mm.
    """

    label: str
    direction: Float[Tensor, "S"]
    deviation: float


def face_measures(model: MorphableModel) -> dict[str, Measure]:
    """The measures of `MEASURES` for a model, by name; none if its shapes have too few coefficients."""
    if model.sizes.shape < FEWEST:
        return {}
    basis, rows = model.at_landmarks(model.shape_basis).double().cpu(), MEASURES.values()
    gradients = torch.stack(
        [basis[list(far), axis].mean(dim=0) - basis[list(near), axis].mean(dim=0) for _, axis, far, near in rows]
    )
    deviations = gradients.norm(dim=1)
    unit = gradients / deviations[:, None]
    gram = unit @ unit.T + RIDGE * torch.eye(len(unit), dtype=torch.float64)
    directions = torch.linalg.solve(gram, unit)  # one row each
    own = (directions * gradients).sum(dim=1, keepdim=True)
    directions = (directions / own).to(model.shape_basis)
    return {
        name: Measure(label, direction, float(deviation))
        for (name, (label, *_)), direction, deviation in zip(MEASURES.items(), directions, deviations, strict=True)
    }
