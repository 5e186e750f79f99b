"""What becomes of the photograph around a face that is edited."""

from __future__ import annotations

import math

import cv2
import numpy as np
from jaxtyping import Bool, Float

FEATHER, REACH = 0.03, 0.5  # of the face's size over which a change of light fades beside it: on anything, on skin
ALIKE = 0.025  # distance of chromaticities up to which something is taken for skin
UNCHANGED = 1e-3  # of a ratio of lights
STILL = 2.0  # radii of the outline from which the photograph does not move
RAYS, SMOOTH = 360, 4.0  # of an outline, and the standard deviation of its smoothing


def spread_light(
    ratio: Float[np.ndarray, "S S 3"], image: Float[np.ndarray, "S S 3"], mask: Bool[np.ndarray, "S S"]
) -> Float[np.ndarray, "S S 3"]:
    """By what to multiply the photograph around a face whose light or skin changes.

    The change fades over a few pixels, and more slowly over what has the color of the face: neck and ears.

    Args:
        ratio: of new to old colors of the face.
        image: the photograph.
        mask: the face.
    """
    if not mask.any() or np.abs(ratio[mask] - 1).max() < UNCHANGED:
        return np.ones_like(image)
    size = math.sqrt(float(mask.sum()))
    inside = mask[..., None].astype(np.float32)
    blurred = cv2.GaussianBlur(ratio.astype(np.float32) * inside, (0, 0), REACH * size / 4)
    carried = blurred / np.maximum(cv2.GaussianBlur(inside, (0, 0), REACH * size / 4)[..., None], 1e-6)
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)[..., None]
    anything, skin = ((1 - distance / (part * size)).clip(0, 1) for part in (FEATHER, REACH))
    share = np.maximum(anything, _skin(image, mask)[..., None] * skin)
    # Next to the face the ratio is its own; farther away, that of a wider part of it.
    near = np.exp(-distance / (FEATHER * size))
    return 1 + share * (near * ratio + (1 - near) * carried - 1)


def stretch(
    image: Float[np.ndarray, "S S 3"], before: Bool[np.ndarray, "S S"], after: Bool[np.ndarray, "S S"]
) -> Float[np.ndarray, "S S 3"]:
    """Move the surroundings so that a face's old outline moves onto its new one.

    Both outlines are taken along rays from one centre. On each ray the outline moves from its old to its new radius and
    the photograph is still from `STILL` radii on. Lines in the background bend with it.

    Args:
        before, after: the face's masks.
    """
    if not (before & after).any():
        return image
    centre = np.argwhere(before & after).mean(axis=0)[::-1].astype(np.float32)
    old, new = (_radii(mask, centre) for mask in (before, after))
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    right, down = columns - centre[0], rows - centre[1]
    radius = np.hypot(right, down)
    ray = (np.arctan2(down, right) / (2 * math.pi) * RAYS) % RAYS
    old, new, still = (
        np.interp(ray, np.arange(RAYS + 1), np.append(values, values[0]))
        for values in (old, new, STILL * np.maximum(old, new))
    )
    beyond = ((radius - new) / np.maximum(still - new, 1)).clip(0, 1)
    source = np.where(radius < new, radius * old / np.maximum(new, 1), old + (still - old) * beyond)
    scale = np.where(radius < still, source / np.maximum(radius, 1), 1).astype(np.float32)
    places = (centre[0] + scale * right, centre[1] + scale * down)
    return cv2.remap(image, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _skin(image: Float[np.ndarray, "S S 3"], mask: Bool[np.ndarray, "S S"]) -> Float[np.ndarray, "S S"]:
    """How like the face's the color of every pixel is, 0 to 1."""
    chromaticity = image / np.maximum(image.sum(axis=2, keepdims=True), 0.05)
    chromaticity = cv2.GaussianBlur(chromaticity.astype(np.float32), (0, 0), 1.0)
    distance = np.linalg.norm(chromaticity - np.median(chromaticity[mask], axis=0), axis=2)
    return np.exp(-0.5 * np.square(distance / ALIKE))


def _radii(mask: Bool[np.ndarray, "S S"], centre: Float[np.ndarray, "2"]) -> Float[np.ndarray, "R"]:
    """How far a mask reaches from a centre along each ray, a little smoothed."""
    offset = np.argwhere(mask)[:, ::-1] - centre
    ray = np.round(np.arctan2(offset[:, 1], offset[:, 0]) / (2 * math.pi) * RAYS).astype(int) % RAYS
    farthest = np.zeros(RAYS)
    np.maximum.at(farthest, ray, np.hypot(*offset.T))
    return cv2.GaussianBlur(np.tile(farthest, 3)[None], (0, 0), SMOOTH)[0, RAYS : 2 * RAYS]
