"""Learn the default model's shape from a population of registered faces: a face model made of scans.

    python experiments/learn_shape.py ICT_FOLDER --out runs/shape
    python experiments/learn_shape.py flame2023.pkl --model flame --out runs/flame_shape

The face model lays its people into the space of MakeHuman's targets: the average of the targets' weights, their spread
along the strongest directions of the population, and a smooth remainder. Writes people.safetensors, which belongs into
mofa3d/models/makehuman, and report.md and report.json, which say how near the targets come to the population, and how
near with the remainder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tyro.conf import Positional

from mofa3d import load_model
from mofa3d.cli import program
from mofa3d.environment.machine import commit
from mofa3d.errors import InputError
from mofa3d.evaluation.report import Report
from mofa3d.evaluation.tables import table
from mofa3d.files.folders import take_folder
from mofa3d.fitting.shape_learning.population import population_of
from mofa3d.fitting.shape_learning.reach import Reach, measure_reach
from mofa3d.fitting.shape_learning.regions import find_regions
from mofa3d.fitting.shape_learning.registration import register
from mofa3d.fitting.shape_learning.skin import make_skin
from mofa3d.fitting.shape_learning.skull import narrowing
from mofa3d.fitting.shape_learning.statistics import follow_population, learn_statistics
from mofa3d.models.alignment import Similarity, similarity
from mofa3d.models.makehuman import source
from mofa3d.models.makehuman.cage import SKIN, read_cage
from mofa3d.models.makehuman.head_mesh import texture_coordinates
from mofa3d.models.makehuman.people import People, save_people
from mofa3d.models.makehuman.targets import read_targets, target_names

ICT = "ICT-FaceKit, Li et al. 2020, MIT license, USC Institute for Creative Technologies"
PLACED_BY = slice(17, 68)  # landmarks that say where the population lies; the jaw's are lines
ABOUT = """\
Average: distance from the skin of the average head to that of the population's mean, median and in brackets 95th
percentile over the vertices, mm. People: root mean square over people and vertices of how far a person's skin, along
its normal, is from the nearest head of the model's columns, mm; in brackets the median and the 95th percentile of the
vertices. Variance: share of the variance of the skin's positions that the columns have."""


@dataclass(frozen=True)
class Config:
    path: Positional[Path]
    """File or folder of the face model whose people are learned from."""
    model: str = "ict"
    """Its name."""
    columns: int = 80
    """Number of shape columns."""
    credit: str = ""
    """Who made the population, and its license; it is written into the file. Known of ICT-FaceKit."""
    out: Path = Path("runs/shape")


def main(config: Config) -> None:
    credit = config.credit or (ICT if config.model == "ict" else "")
    if not credit:
        raise InputError(f"say with --credit who made {config.path}, and under which license")
    population = population_of(load_model(config.model, path=config.path))
    available = population.columns.shape[2]
    if not 1 <= config.columns <= available:
        raise InputError(f"--columns is {config.columns}; {config.path} has {available} shape columns")
    data = source.data_directory()
    cage, names = read_cage(data), target_names(data)
    fields = read_targets(data, names, cage.base_count, cage.kept)
    take_folder(config.out, "learn_shape.py")
    laid = similarity(cage.landmarks(cage.vertices)[PLACED_BY], population.landmarks[PLACED_BY], (0.0, np.inf))
    # In MakeHuman's place and axes, and in the people's size.
    population = population.moved(Similarity(1.0, laid.rotation.T, -laid.rotation.T @ laid.translation))
    skin = make_skin(cage, names, fields, laid.scale)

    print("laying the skin over the mean face", flush=True)
    found = register(skin, population)
    coarse = skin.moved(found.weights) + found.displacement
    surface = skin.on_surface(coarse)
    fine_uv = texture_coordinates(cage.texture, skin.quads, cage.texture_quads[cage.of(*SKIN)], skin.refine)
    regions = find_regions(surface, skin.landmarks(coarse), source.read_mask(data, "ears", fine_uv) > 0.5)
    movements = follow_population(skin, surface, population, regions)
    narrower = narrowing(coarse, skin.landmarks(coarse))
    narrow = coarse * narrower
    movements = movements._replace(columns=movements.columns * skin.on_surface(narrower)[..., None])
    print("learning the statistics", flush=True)
    learned = learn_statistics(skin, narrow, movements, regions, config.columns)
    people = People(
        names=tuple(names),
        scale=laid.scale,
        weights=found.weights,
        weight_columns=learned.weights,
        skin=cage.kept[cage.skin],
        remainder=found.displacement + narrow - coarse,
        remainder_columns=learned.displacement,
        source=credit,
    )
    save_people(people, config.out / "people.safetensors")

    by_targets = skin.surface_targets @ learned.weights
    by_both = by_targets + skin.on_surface(learned.displacement)
    systems = {
        "targets alone": (skin.on_surface(skin.moved(found.weights)), by_targets),
        "targets and remainder": (surface, by_both),
    }
    reaches = {
        name: measure_reach(skin, population, average, movements, columns @ learned.turn.T, regions)
        for name, (average, columns) in systems.items()
    }
    facts = {
        "population": f"{config.path}: {available} columns; {credit}",
        "model": f"{len(names)} targets, {config.columns} columns; {laid.scale:.2f} mm per decimetre of MakeHuman",
        "commit": commit(),
    }
    numbers = {name: reach._asdict() for name, reach in reaches.items()}
    report = Report("Shape statistics of real people", facts, [ABOUT, reach_table(reaches)], numbers)
    report.write(config.out)
    print(report.markdown(), f"\n{config.out / 'people.safetensors'}")


def reach_table(reaches: dict[str, Reach]) -> str:
    """What is left, a row for each system and region."""
    rows = []
    for name, reach in reaches.items():
        for region, (middle, high) in reach.average.items():
            root, *percentiles = reach.people[region]
            rows.append(
                [
                    name,
                    region,
                    f"{middle:.2f} ({high:.2f})",
                    f"{root:.2f} ({percentiles[0]:.2f}, {percentiles[1]:.2f})",
                    f"{100 * reach.explained[region]:.1f} %",
                ]
            )
    return table(["", "region", "average", "people", "variance"], rows)


if __name__ == "__main__":
    program.run(main, Config, __doc__)
