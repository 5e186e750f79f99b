"""Measure what several photographs of a person tell about another one, against what one tells.

    python experiments/check_same_person.py lfw --people 40
    python experiments/check_same_person.py ytf/images --people 20 --photographs 4

Of each person, the last photograph is held out. Shape and reflectance come from the first photograph alone, and from
all others together (`mofa3d reconstruct --same-person`). In the photograph held out, pose and expression are fitted to
its points under that shape: what is left of the points tells how well the shape fits. Light is fitted under that
reflectance, on the geometry that the photograph itself gives: the photometric error tells how well the skin fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm
from tyro.conf import Positional

from mofa3d import metrics
from mofa3d.cli import program
from mofa3d.data.photo import read_photo
from mofa3d.data.sources import find_items
from mofa3d.errors import InputError
from mofa3d.evaluation.tables import table
from mofa3d.numeric_options import check_ranges
from mofa3d.reconstruction.reconstructor import FaceCrop, Reconstruction, Reconstructor
from mofa3d.reconstruction.same_person import SamePerson, crop_points
from mofa3d.renderers import make_renderer


@dataclass(frozen=True)
class Config:
    photos: Positional[Path]
    """A folder of photographs named after people, as Name_Surname_0001.jpg, in any folders."""
    people: int = 40
    """People, evenly spread over those of whom there are enough photographs."""
    photographs: int = 4
    """Of each person, the one held out included."""

    def __post_init__(self) -> None:
        check_ranges(self, people=(1, 100_000), photographs=(3, 1000))


class Errors(NamedTuple):
    """Of one person's shape and skin in the photograph held out: pixels of a 240-pixel crop, and display RGB."""

    points: float
    skin: float


def main(config: Config) -> None:
    groups = by_person(config.photos, config.photographs)
    if not groups:
        raise InputError(f"nobody in {config.photos} has {config.photographs} photographs; lower --photographs")
    chosen = [groups[k] for k in np.unique(np.linspace(0, len(groups) - 1, config.people).round().astype(int))]
    person = SamePerson(Reconstructor.open(refine=None))
    rows: list[tuple[Errors, Errors]] = []
    for paths in tqdm(chosen, "people", disable=None):
        crops = []
        for path in paths:
            try:
                crops.append(person.find(read_photo(path)))
            except InputError as error:
                tqdm.write(f"{path}: {error}")
        if len(crops) >= 3:
            *known, held = crops
            rows.append((measure(person, known[:1], held), measure(person, known, held)))
    if not rows:
        raise InputError(f"too few faces were found in {config.photos}; give clearer photographs")
    print(report(np.array(rows)))


def by_person(root: Path, count: int) -> list[list[Path]]:
    """Photographs of each person of whom there are so many, spread evenly over theirs."""
    people: dict[str, list[Path]] = {}
    for item in find_items([root]):
        people.setdefault(item.path.stem.rpartition("_")[0], []).append(item.path)
    return [
        [paths[k] for k in np.linspace(0, len(paths) - 1, count).round().astype(int)]
        for _, paths in sorted(people.items())
        if len(paths) >= count
    ]


@torch.no_grad()
def measure(person: SamePerson, known: list[FaceCrop], held: FaceCrop) -> Errors:
    """How well what the known photographs say fits the one held out."""
    found: Reconstruction = person(known)[0]
    points = crop_points(held)[None]
    left = person.fit_points(points, found.code.shape).left
    [own] = person([held])
    image = held.pixels[None]
    lit = person.fit_colors(own.code.replace(reflectance=found.code.reflectance), image, light_only=True)
    rendering = make_renderer("vertex")(person.reconstructor.decode(lit))
    return Errors(float(left.norm(dim=2).mean()), float(metrics.photometric_error(rendering, image)))


def report(errors: np.ndarray) -> str:
    """A table of errors (people, one or several photographs, points and skin)."""
    rows = []
    for column, name in enumerate(("points, px", "skin, RGB")):
        one, several = errors[..., column].T
        middle = [f"{values.mean():.4f}" for values in (one, several)]
        rows.append([name, *middle, f"{100 * (several < one).mean():.0f} %"])
    return table([f"{len(errors)} people", "from one photograph", "from several", "better for"], rows)


if __name__ == "__main__":
    program.run(main, Config, __doc__)
