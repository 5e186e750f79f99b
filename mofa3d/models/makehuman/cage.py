"""The part of MakeHuman's base mesh that becomes a head: coarse quads, refined later, and the 68 landmarks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from mofa3d.models.makehuman import source, teeth

SKIN = ("head", "neck")
EYES = ("eye_front.L", "eye_front.R", "eye_back.L", "eye_back.R")
MOUTH = "mouth_cavity"
GROUPS = ("body", "helper-l-eye", "helper-r-eye")
LOWEST, WIDEST = 5.45, 1.2  # dm: of the body below the head, what is above and between this is neck


@dataclass(frozen=True)
class Cage:
    """Quads over the vertices that are kept of the base mesh.

    Attributes:
        base_count: vertices of the base mesh.
        kept: (V,) their numbers in the base mesh, ascending.
        vertices: (V, 3) dm, as MakeHuman's average body has them.
        quads: (Q, 4) of skin, eyeballs and mouth.
        parts: (Q,) what each belongs to: one of `SKIN` or `EYES`, or `MOUTH`.
        texture: (T, 2) texture coordinates.
        texture_quads: (Q, 4) into these.
        tooth_quads: (P, 4) of the teeth and the tongue.
        tooth_texture_quads: (P, 4).
        upper: (P,) which of them belong to the upper jaw.
        tongue: (P,) which of them are tongue.
        landmark_vertices: (68, L) vertices of each iBUG point.
        landmark_weights: (68, L) of these.
    """

    base_count: int
    kept: Int[np.ndarray, "V"]
    vertices: Float[np.ndarray, "V 3"]
    quads: Int[np.ndarray, "Q 4"]
    parts: np.ndarray
    texture: Float[np.ndarray, "T 2"]
    texture_quads: Int[np.ndarray, "Q 4"]
    tooth_quads: Int[np.ndarray, "P 4"]
    tooth_texture_quads: Int[np.ndarray, "P 4"]
    upper: Bool[np.ndarray, "P"]
    tongue: Bool[np.ndarray, "P"]
    landmark_vertices: Int[np.ndarray, "68 L"]
    landmark_weights: Float[np.ndarray, "68 L"]

    @property
    def skin(self) -> Int[np.ndarray, "S"]:
        """The vertices of head and neck, ascending."""
        return np.unique(self.quads[self.of(*SKIN)])

    def of(self, *parts: str) -> Bool[np.ndarray, "Q"]:
        """The quads of some parts."""
        return np.isin(self.parts, parts)

    def landmarks(self, values: Float[np.ndarray, "V 3"]) -> Float[np.ndarray, "68 3"]:
        """The iBUG points of vertices in any place."""
        return (values[self.landmark_vertices] * self.landmark_weights[..., None]).sum(axis=1)


def read_cage(data: Path) -> Cage:
    """The cage of the installed data."""
    base = source.read_base_mesh(data)
    centres = base.vertices[base.quads].mean(axis=1)
    body = np.isin(base.groups, GROUPS)
    neck = (base.groups == "body") & (base.parts == source.OTHER)
    neck &= (centres[:, 1] > LOWEST) & (np.abs(centres[:, 0]) < WIDEST)
    parts = np.where(neck, "neck", base.parts)
    wanted = body & np.isin(parts, (*SKIN, *EYES, MOUTH))
    of_teeth = np.isin(base.groups, (teeth.UPPER, teeth.LOWER, teeth.TONGUE))
    kept = np.unique(base.quads[wanted | of_teeth])
    local = np.full(len(base.vertices), -1)
    local[kept] = np.arange(len(kept))
    points = json.loads(Path(__file__).with_name("landmarks68.json").read_text(encoding="utf-8"))["points"]
    return Cage(
        base_count=len(base.vertices),
        kept=kept,
        vertices=base.vertices[kept],
        quads=local[base.quads[wanted]],
        parts=parts[wanted],
        texture=base.texture,
        texture_quads=base.texture_quads[wanted],
        tooth_quads=local[base.quads[of_teeth]],
        tooth_texture_quads=base.texture_quads[of_teeth],
        upper=base.groups[of_teeth] == teeth.UPPER,
        tongue=base.groups[of_teeth] == teeth.TONGUE,
        landmark_vertices=local[np.array([point["vertices"] for point in points])],
        landmark_weights=np.array([point["weights"] for point in points]),
    )
