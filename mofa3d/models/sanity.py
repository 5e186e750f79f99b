"""Does a morphable model have the size and the variety of human faces? Measurements, and what is wrong with them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mofa3d.morphable_model import MorphableModel

SAMPLE_COUNT = 256
EYE_DISTANCE = (55.0, 71.0)  # mm, 63 ± 8: nearly all adults
FACE_WIDTH = (120.0, 170.0)  # mm, between landmarks 0 and 16
DEVIATION = (2.0, 4.0)  # mm, root mean square over the frontal vertices
VISIBLE = 1.0  # mm; about a pixel of a 240 px crop, so a mode that moves less cannot be seen in a photograph
POSSIBLE = 45.0  # mm; no mouth opens much further, let alone in every twentieth photograph
INSIDE = 0.9  # least share of samples whose eye distance is human
OUTSIDE = 0.05  # largest share of colors that may have to be clipped

# What an expression must be able to do -> distances that it lengthens (+1) or shortens (-1), each between the means of
# two groups of iBUG points along y. One of them is enough: some models move each side of the face by itself.
# The mouth is measured at the outer lips, whose points are easy to attach; `Sanity.inner_lips` is about the inner ones.
ACTIONS = {
    "opens the mouth": (1, (((50, 51, 52), (56, 57, 58)),)),
    "closes the lids": (-1, (((37, 38), (40, 41)), ((43, 44), (46, 47)))),
    "raises the brows": (1, ((range(17, 22), (36, 39)), (range(22, 27), (42, 45)))),
}
INNER_LIPS = ((61, 62, 63), (65, 66, 67))


@dataclass(frozen=True)
class Action:
    """The expression column that does one thing best.

    Attributes:
        column: counted from 0; ``None`` where the model has no expressions.
        sign: of the coefficient that does it.
        amount: mm at two standard deviations.
    """

    column: int | None
    sign: int
    amount: float


@dataclass(frozen=True)
class Sanity:
    """What was measured on a model; lengths in mm.

    Attributes:
        face_width: between landmarks 0 and 16 of the mean face.
        eye_distance: between the middles of the eyes (the means of their six points) of the mean face.
        samples: how many random faces the next four are measured on.
        eye_distance_mean, eye_distance_sd: of the samples.
        eye_distance_inside: share of the samples within `EYE_DISTANCE`.
        deviation: root mean square distance of the samples' frontal vertices from the mean face; NaN without any.
        outside: share of the samples' vertex colors of which a channel is outside 0 to 1.
        actions: for each of `ACTIONS`, the expression column that does it best.
        inner_lips: how far the inner lips part, signed, where the outer lips do by ``actions["opens the mouth"]``.
    """

    face_width: float
    eye_distance: float
    samples: int
    eye_distance_mean: float
    eye_distance_sd: float
    eye_distance_inside: float
    deviation: float
    outside: float
    actions: dict[str, Action]
    inner_lips: float

    def complaints(self) -> tuple[str, ...]:
        """What is not as it should be, one sentence each."""
        found = []
        if not _within(self.face_width, FACE_WIDTH):
            found.append(f"the face is {self.face_width:.1f} mm wide, expected {_range(FACE_WIDTH)}; are these mm?")
        if not _within(self.eye_distance_mean, EYE_DISTANCE) or self.eye_distance_inside < INSIDE:
            found.append(
                f"the eyes of random faces are {self.eye_distance_mean:.1f} ± {self.eye_distance_sd:.1f} mm apart, "
                f"{self.eye_distance_inside:.0%} of them within {_range(EYE_DISTANCE)}; expected nearly all"
            )
        if not _within(self.deviation, DEVIATION):
            found.append(
                f"random faces deviate from the mean by {self.deviation:.2f} mm rms, expected {_range(DEVIATION)}; do "
                "the columns of the shape basis carry their standard deviation?"
            )
        for name, action in self.actions.items():
            if action.column is None:
                found.append(f"no expression {name}: the model has none")
            elif action.amount < VISIBLE:
                found.append(
                    f"no expression {name}: the best, column {action.column}, moves {action.amount:.2f} mm at two "
                    "standard deviations"
                )
            elif action.amount > POSSIBLE:
                found.append(
                    f"column {action.column} {name} by {action.amount:.1f} mm at two standard deviations; do the "
                    "columns of the expression basis carry their standard deviation?"
                )
        mouth = self.actions["opens the mouth"].amount
        if mouth >= VISIBLE and self.inner_lips < 0.5 * mouth:
            found.append(
                f"where the outer lips part by {mouth:.1f} mm, landmarks 61–63 and 65–67 part by "
                f"{self.inner_lips:.1f} mm; do they lie on the same lip?"
            )
        if self.outside > OUTSIDE:
            found.append(f"{self.outside:.1%} of the samples' colors are outside 0 to 1 and would be clipped")
        return tuple(found)


@torch.no_grad()
def check(model: MorphableModel, samples: int = SAMPLE_COUNT, seed: int = 0) -> Sanity:
    """Measure a model on its mean face, its columns and random faces without expression."""
    random = torch.Generator().manual_seed(seed)
    sizes = model.sizes
    shapes = torch.randn(samples, sizes.shape, generator=random, dtype=torch.float32).to(model.mean_shape)
    colors = torch.randn(samples, sizes.reflectance, generator=random, dtype=torch.float32).to(model.mean_shape)
    part = model.restrict(model.frontal)  # with the triangles of the landmarks
    vertices = part.geometry(shapes, shapes.new_zeros(samples, sizes.expression))
    points = model.landmarks(model.mean_shape[None])[0]
    eyes = eye_distance(part.landmarks(vertices))
    low, high = EYE_DISTANCE
    actions = {name: best_column(model, name) for name in ACTIONS}
    return Sanity(
        face_width=float((points[0] - points[16]).norm()),
        eye_distance=float(eye_distance(points)),
        samples=samples,
        eye_distance_mean=float(eyes.mean()),
        eye_distance_sd=float(eyes.std()),
        eye_distance_inside=float(((eyes >= low) & (eyes <= high)).float().mean()),
        deviation=deviation(vertices[:, part.frontal], part.mean_shape[part.frontal]),
        outside=share_outside(model, colors),
        actions=actions,
        inner_lips=_inner_lips(model, actions["opens the mouth"]),
    )


def eye_distance(points: Float[Tensor, "*B 68 3"]) -> Float[Tensor, "*B"]:
    """Distance between the middles of the two eyes, each the mean of its six points."""
    return (points[..., 36:42, :].mean(dim=-2) - points[..., 42:48, :].mean(dim=-2)).norm(dim=-1)


def deviation(vertices: Float[Tensor, "B N 3"], mean: Float[Tensor, "N 3"]) -> float:
    """Root mean square distance of vertices from those of the mean face; NaN if there are none."""
    return float((vertices - mean).square().sum(dim=-1).mean().sqrt())


def share_outside(model: MorphableModel, codes: Float[Tensor, "B R"]) -> float:
    """Share of the vertex colors of which a channel is below 0 or above 1."""
    # One face at a time: all colors of all samples would take hundreds of megabytes.
    outside = [((c < 0) | (c > 1)).any(dim=-1).float().mean() for c in map(model.reflectance, codes.split(1))]
    return float(torch.stack(outside).mean())


def best_column(model: MorphableModel, name: str) -> Action:
    """The expression column that does one of `ACTIONS` best, with either sign of its coefficient."""
    direction, distances = ACTIONS[name]
    if not model.sizes.expression:
        return Action(None, 1, 0.0)
    moves = 2 * direction * torch.stack([_distance_change(model, *groups) for groups in distances])
    side, column = divmod(int(moves.abs().argmax()), moves.shape[1])
    move = float(moves[side, column])
    return Action(column, -1 if move < 0 else 1, abs(move))


def _inner_lips(model: MorphableModel, mouth: Action) -> float:
    if mouth.column is None:
        return 0.0
    return 2 * mouth.sign * float(_distance_change(model, *INNER_LIPS)[mouth.column])


def _distance_change(model: MorphableModel, upper, lower) -> Float[Tensor, "E"]:
    """By how much each expression column lifts one group of landmarks above another, mm per standard deviation."""
    heights = model.landmarks(model.expression_basis.permute(2, 0, 1))[..., 1]
    return heights[:, list(upper)].mean(dim=1) - heights[:, list(lower)].mean(dim=1)


def _within(value: float, limits: tuple[float, float]) -> bool:
    return math.isfinite(value) and limits[0] <= value <= limits[1]


def _range(limits: tuple[float, float]) -> str:
    return f"{limits[0]:g} to {limits[1]:g} mm"
