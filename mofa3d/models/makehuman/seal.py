"""A strip that hangs behind the upper lip, as its wet inside does, and closes the hairline between lips at rest.

Lips of scans and artists meet only nearly, and what is seen between them is teeth. Moving lips into each other would
fold the skin; the strip hides in the lower lip, and shows as the upper lip's shaded inside when the mouth opens.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse
from jaxtyping import Float, Int

from mofa3d.models.makehuman.lips import PLACES, find_contact

COUNT = 2 * PLACES  # vertices
WIDTH = 1.0  # of the way from the middle to the corners of the inner lips
ABOVE, BELOW = 0.8, 1.2  # mm over and under the seam, in its middle
LESS = 0.7  # of which it is lower in the corners
UP = np.array([0.0, 1.0, 0.0])
BENDS = 4  # degree of the curve on which it hangs
ALONG = 2.0  # mm along the lip over which its movements are averaged
COLOR = (0.30, 0.12, 0.11)  # display RGB, of the inside of the lips


class Seal(NamedTuple):
    """The strip.

    Attributes:
        vertices: (2 K, 3) mm on the average head, first the upper edge.
        follows: (2 K, N) weights of the head's vertices with which it moves.
        lip: (2 K,) the nearest of these.
        triangles: (F, 3).
    """

    vertices: Float[np.ndarray, "S 3"]
    follows: sparse.csr_matrix
    lip: Int[np.ndarray, "S"]
    triangles: Int[np.ndarray, "F 3"]


def make_seal(
    vertices: Float[np.ndarray, "N 3"], triangles: Int[np.ndarray, "F 3"], landmarks: Float[np.ndarray, "68 3"]
) -> Seal:
    """Hang it on the upper lip of the average head, in mm."""
    contact = find_contact(vertices, triangles, landmarks, WIDTH)
    places = WIDTH * np.linspace(landmarks[60, 0], landmarks[64, 0], PLACES)
    middle, half = places.mean(), np.ptp(places) / 2
    found, wanted = ((x - middle) / half for x in (contact.seam[:, 0], places))
    # The vertices at which lips meet are scattered over the depth of the lips.
    curve = np.polynomial.polynomial.polyfit(found, contact.seam[:, 1:], BENDS)
    seam = np.column_stack([places, *np.polynomial.polynomial.polyval(wanted, curve)])
    weights = np.exp(-np.square((places[:, None] - vertices[contact.upper, 0]) / ALONG) / 2)
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(PLACES), PLACES)
    follows = sparse.csr_matrix(
        (weights.ravel(), (rows, np.tile(contact.upper, PLACES))), shape=(PLACES, len(vertices))
    )
    lower = 1 - LESS * wanted[:, None] ** 4
    place = np.arange(PLACES - 1)
    return Seal(
        vertices=np.concatenate([seam + ABOVE * UP, seam - BELOW * lower * UP]),
        follows=sparse.vstack([follows, follows]).tocsr(),
        lip=np.tile(contact.upper, 2),
        triangles=np.concatenate([
            np.stack([place, place + PLACES, place + PLACES + 1], axis=1),
            np.stack([place, place + PLACES + 1, place + 1], axis=1),
        ]),
    )  # fmt: skip
