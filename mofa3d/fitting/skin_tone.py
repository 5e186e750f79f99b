"""The color of a person's skin: of a reflectance, in a photograph, and in all other photographs of the same person.

A photograph shows skin times light, and nothing in it says which is which: dark skin in much light and light skin in
little are the same picture. But photographs of one person in many lights have their skin in common.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mofa3d.morphable_model import MorphableModel

# MediaPipe's points on the cheeks, away from eyes, nose, beard and hair.
CHEEKS = (50, 280, 117, 346, 118, 347, 101, 330, 205, 425, 36, 266)
# iBUG points around the middle of each cheek, and mm about it, seen from the front, that are its skin.
AROUND_CHEEKS, CHEEK = ((2, 31, 41, 48), (14, 35, 46, 54)), 10.0
PATCH = 3  # pixels on each side of a point in a 240-pixel crop whose median is its color
SKIN = (0.06, 0.98)  # least and most reflectance, display RGB
DARKEST = 0.02  # of a color whose logarithm is taken
SHARED = 0.5  # of the variance of light that two photographs of one person have in common


class Others(NamedTuple):
    """What the other photographs of the same person show.

    Attributes:
        mean: of all sittings but the photograph's own.
        weight: 0 without other photographs, growing towards 1.
    """

    mean: Float[np.ndarray, "K C"]
    weight: Float[np.ndarray, "K"]


def cheek_color(image: Float[np.ndarray, "3 H W"], dense: Float[np.ndarray, "478 2"]) -> Float[np.ndarray, "3"]:
    """Color of the cheeks in a crop, display RGB: the median over points that lie inside, NaN if none does."""
    height, width = image.shape[1:]
    reach = max(1, round(PATCH * width / 240))
    found = []
    for x, y in np.round(dense[list(CHEEKS)] - 0.5).astype(int):
        if 0 <= x < width and 0 <= y < height:
            patch = image[:, max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
            found.append(np.median(patch.reshape(3, -1), axis=1))
    return np.median(found, axis=0) if found else np.full(3, np.nan)


def mean_of_others(
    values: Float[np.ndarray, "K C"], people: Int[np.ndarray, "K"], sittings: Int[np.ndarray, "K"]
) -> Others:
    """For each photograph the mean over all others of the same person but those of the same sitting.

    Args:
        values: of each photograph, NaN where they are unknown.
        people, sittings: numbers of who each shows and when.
    """
    mean, weight = np.zeros_like(values), np.zeros(len(values))
    order = np.argsort(people, kind="stable")
    for own in np.split(order, np.flatnonzero(np.diff(people[order])) + 1):
        own = own[np.isfinite(values[own]).all(axis=1)]
        numbers, when = np.unique(sittings[own], return_inverse=True)
        if len(numbers) < 2:
            continue
        means = np.stack([values[own[sittings[own] == number]].mean(axis=0) for number in numbers])
        for index, number in zip(own, when, strict=True):
            mean[index] = np.delete(means, number, axis=0).mean(axis=0)
        count = len(numbers) - 1
        weight[own] = SHARED * count / (1 + SHARED * (count - 1))
    return Others(mean, weight)


def tone_of_others(
    colors: Float[np.ndarray, "K 3"], people: Int[np.ndarray, "K"], sittings: Int[np.ndarray, "K"]
) -> Others:
    """`mean_of_others` of the logarithm of the skin's color, less that of all people.

    Args:
        colors: of the skin in each photograph, NaN where it is unknown.
        people, sittings: numbers of who each shows and when.
    """
    logs = np.log(np.maximum(colors, DARKEST))
    logs[~np.isfinite(colors).all(axis=1)] = np.nan
    others = mean_of_others(logs, people, sittings)
    if others.weight.any():
        known = others.weight > 0
        others.mean[known] -= np.average(others.mean[known], axis=0, weights=others.weight[known])
    return others


def cheek_vertices(model: MorphableModel) -> Bool[Tensor, "N"]:
    """Those in the middle of the cheeks; at least one."""
    points = model.at_landmarks(model.mean_shape)
    cheeks = torch.stack([points[list(around)].mean(dim=0) for around in AROUND_CHEEKS])
    near = torch.cdist(model.mean_shape[:, :2], cheeks[:, :2]).amin(dim=1)  # as seen from the front
    return model.frontal & (near < max(CHEEK, float(near[model.frontal].min()) + 1e-3))


class SkinTone:
    """The skin's color of a reflectance code, linear in it.

    Args:
        model: any face model; its cheeks are found by the iBUG points around them.
    """

    def __init__(self, model: MorphableModel) -> None:
        chosen = cheek_vertices(model)
        self.mean = model.mean_reflectance[chosen].mean(dim=0)
        self.basis = model.reflectance_basis[chosen].mean(dim=0)

    def to(self, device: torch.device | str) -> SkinTone:
        """The same, with its numbers on a device."""
        self.mean, self.basis = self.mean.to(device), self.basis.to(device)
        return self

    def __call__(self, reflectance: Float[Tensor, "B R"]) -> Float[Tensor, "B 3"]:
        """Display RGB."""
        return self.mean + reflectance @ self.basis.T

    def from_photographs(self, color: Float[np.ndarray, "K 3"], contrast: float) -> Float[np.ndarray, "K 3"]:
        """Reflectance of people whose skin is lighter or darker than the average's by logarithms, as skin can be.

        Args:
            color: as `tone_of_others` has it.
            contrast: factor on how much lighter or darker, and not on the hue: most of what differs in hue between
                photographs is the color of their light.
        """
        level = color.mean(axis=1, keepdims=True)
        return np.clip(self.mean.double().numpy() * np.exp(color + (contrast - 1) * level), *SKIN)
