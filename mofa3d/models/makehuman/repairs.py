"""What MakeHuman's units lack to look right on this model: eyeballs that make way for lids, and lips for the tongue."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from mofa3d.models.makehuman.cage import EYES, Cage

# The lid moves along a straight line in front of a ball, and the cornea would come through it halfway and, with wide
# eyes, at the end. Eyes do go back when lids close, by 1 to 2 mm (Collewijn, van der Steen and Steinman 1985).
RETRACTION = 2.5  # mm, of the eyeball behind closed lids
FARTHER = 1.06  # of what lids move on MakeHuman's head, so that wide eyes close too
CLOSING = {"eyeBlinkLeft": "L", "eyeBlinkRight": "R", "eye-left-closure": "L", "eye-right-closure": "R"}
# MakeHuman's tongue goes straight through closed lips.
TONGUE, MAKES_WAY = "tongueOut", {"jawOpen": 0.22}


def repaired(movements: Float[np.ndarray, "U V 3"], names: Sequence[str], cage: Cage) -> Float[np.ndarray, "U V 3"]:
    """The units' movements (mm) with what they lack."""
    result, place = movements.copy(), {name: number for number, name in enumerate(names)}
    for name, side in CLOSING.items():
        eye = np.unique(cage.quads[cage.of(*(part for part in EYES if part.endswith(side)))])
        result[place[name]] *= FARTHER
        result[place[name], eye, 2] -= RETRACTION
    for name, strength in MAKES_WAY.items():
        result[place[TONGUE]] += strength * movements[place[name]]
    return result
