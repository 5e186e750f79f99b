"""A small population on a hill of quads: its average, its columns and their order are found again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import Delaunay

from mofa3d.fitting.shape_learning.population import Population
from mofa3d.fitting.shape_learning.reach import measure_reach
from mofa3d.fitting.shape_learning.regions import Regions, find_regions
from mofa3d.fitting.shape_learning.registration import register
from mofa3d.fitting.shape_learning.skin import Skin
from mofa3d.fitting.shape_learning.skull import FADES, SHARE, narrowing
from mofa3d.fitting.shape_learning.statistics import (
    follow_population,
    learn_statistics,
    principal_turn,
    without_similarity,
)
from mofa3d.fitting.shape_learning.untangling import untangled
from mofa3d.models.makehuman.subdivision import catmull_clark, to_triangles
from mofa3d.models.self_intersections import crossing_triangles

SIZE, STEP = 13, 10.0  # quads on a side, mm


def height(plane: np.ndarray) -> np.ndarray:
    return 40 * np.exp(-np.square(plane / 45).sum(axis=1))


def bump(plane: np.ndarray, place: tuple[float, float], width: float = 22.0) -> np.ndarray:
    """A displacement along z."""
    z = np.exp(-np.square((plane - place) / width).sum(axis=1))
    return np.stack([0 * z, 0 * z, z], axis=1)


TARGETS = ((-20, 10), (20, 10), (0, -25))
BEYOND = (5.0, 30.0)  # where people differ and no target is


def make_skin() -> Skin:
    line = (np.arange(SIZE + 1) - SIZE / 2) * STEP
    plane = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    number = np.arange(len(plane)).reshape(SIZE + 1, SIZE + 1)
    quads = np.stack([number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]], axis=-1).reshape(-1, 4)
    refine, fine = catmull_clark(len(plane), quads)
    split, triangles = to_triangles(refine.shape[0], fine)
    chosen = np.linspace(0, len(plane) - 1, 68).astype(int)
    return Skin(
        vertices=np.column_stack([plane, height(plane)]),
        targets=np.stack([bump(plane, place) for place in TARGETS]),
        asymmetric=np.array([False, False, False]),
        quads=quads,
        refine=(split @ refine).tocsr(),
        triangles=triangles,
        landmark_vertices=chosen[:, None],
        landmark_weights=np.ones((68, 1)),
    )


def make_population(skin: Skin) -> Population:
    """Another triangulation: the average has a target and something beyond; three ways in which people differ."""
    random = np.random.default_rng(3)
    plane = random.uniform(-80, 80, size=(6000, 2))
    faces = Delaunay(plane).simplices
    corners = plane[faces]
    edges = corners[:, 1:] - corners[:, :1]
    faces[edges[:, 0, 0] * edges[:, 1, 1] < edges[:, 0, 1] * edges[:, 1, 0]] = faces[
        edges[:, 0, 0] * edges[:, 1, 1] < edges[:, 0, 1] * edges[:, 1, 0]
    ][:, ::-1]
    columns = [1.0 * bump(plane, TARGETS[1]), 3.0 * bump(plane, TARGETS[0]), 1.5 * bump(plane, BEYOND)]

    def average(of: np.ndarray) -> np.ndarray:
        return np.column_stack([of, height(of)]) + 4.0 * bump(of, TARGETS[2]) + 1.5 * bump(of, BEYOND)

    landmarks = average(skin.vertices[skin.landmark_vertices[:, 0], :2])
    return Population(average(plane), np.stack(columns, axis=-1), faces, landmarks)


@pytest.fixture(scope="module")
def learned():
    skin = make_skin()
    population = make_population(skin)
    found = register(skin, population)
    cage = skin.moved(found.weights) + found.displacement
    surface = skin.on_surface(cage)
    inner = np.linalg.norm(surface[:, :2], axis=1) < 55
    nothing = np.zeros(len(surface), dtype=bool)
    regions = Regions(face=inner, ears=nothing, neck=nothing, skull=~inner)
    movements = follow_population(skin, surface, population, regions)
    return skin, population, found, surface, regions, movements, learn_statistics(skin, cage, movements, regions, 3)


def test_the_average_is_reached_by_its_target_and_a_remainder(learned):
    skin, population, found, surface, regions, movements, _ = learned
    np.testing.assert_allclose(found.weights, [0, 0, 4], atol=1.3)
    still = np.zeros_like(movements.columns)
    whole = measure_reach(skin, population, surface, movements, still, regions)
    alone = measure_reach(skin, population, skin.on_surface(skin.moved(found.weights)), movements, still, regions)
    assert whole.average["face"][0] < 0.05 < 0.1 < alone.average["face"][0]
    assert whole.explained["face"] == pytest.approx(0)


def test_columns_are_uncorrelated_and_come_in_order(learned):
    skin, *_, movements, statistics = learned
    np.testing.assert_allclose(statistics.turn.T @ statistics.turn, np.eye(3), atol=1e-9)
    strength = np.square(movements.columns @ statistics.turn).sum(axis=(0, 1))
    assert (np.diff(strength) < 0).all()
    strongest = np.abs(statistics.weights).argmax(axis=0)
    assert strongest[0] == 0  # the target of the strongest direction
    columns = skin.surface_targets @ statistics.weights + skin.on_surface(statistics.displacement)
    left = movements.columns @ statistics.turn - columns
    assert np.sqrt(np.square(left[movements.known]).sum(axis=(1, 2)).mean()) < 0.1


def test_what_no_target_reaches_is_the_remainder(learned):
    skin, population, _, surface, regions, movements, statistics = learned
    by_targets = skin.surface_targets @ statistics.weights
    by_both = by_targets + skin.on_surface(statistics.displacement)
    alone, both = (
        measure_reach(skin, population, surface, movements, columns @ statistics.turn.T, regions)
        for columns in (by_targets, by_both)
    )
    assert both.explained["face"] > 0.99 > alone.explained["face"] > 0.3
    assert both.people["face"][0] < 0.3 * alone.people["face"][0]


def test_size_and_pose_are_taken_out():
    random = np.random.default_rng(0)
    points, weights = random.normal(scale=50, size=(200, 3)), random.uniform(0.5, 1, 200)
    turn = np.cross([0.1, -0.2, 0.3], points)
    moved = np.stack([turn + [1, 2, 3] + 0.05 * points, random.normal(size=(200, 3))], axis=-1)
    left = without_similarity(moved, points, weights)
    assert np.abs(left[..., 0]).max() < 1e-9
    np.testing.assert_allclose(np.einsum("n,nc->c", weights, left[..., 1]), 0, atol=1e-9)


def test_signs_do_not_depend_on_those_of_the_population():
    random = np.random.default_rng(1)
    columns = random.normal(size=(50, 3, 4)) * [4, 3, 2, 1]
    turn = principal_turn(columns, np.ones(50), 3)
    other = principal_turn(columns * [-1, 1, -1, 1], np.ones(50), 3)
    np.testing.assert_allclose(columns @ turn, (columns * [-1, 1, -1, 1]) @ other, atol=1e-9)


def test_regions_do_not_overlap():
    random = np.random.default_rng(2)
    surface, landmarks = random.normal(scale=80, size=(500, 3)), random.normal(scale=30, size=(68, 3))
    regions = find_regions(surface, landmarks, random.random(500) < 0.1)
    np.testing.assert_array_equal(np.sum(regions, axis=0) >= 1, True)
    assert not (regions.face & (regions.ears | regions.neck)).any()


def test_columns_that_push_one_sheet_through_another_move_both():
    skin = two_sheets()
    columns = np.zeros((*skin.vertices.shape, 1))
    middle = np.exp(-np.square(skin.vertices[:, :2] / 12).sum(axis=1))
    columns[:, 2, 0] = 3.0 * middle * (skin.vertices[:, 2] == 0)  # of the lower one, 2 mm below the other

    def crossing(of: np.ndarray) -> int:
        return len(crossing_triangles(skin.on_surface(skin.vertices + of[..., 0]), skin.triangles))

    whole = untangled(skin, skin.vertices, columns, tried=10)
    assert crossing(columns) > 0
    assert crossing(whole) == 0
    upper = skin.vertices[:, 2] > 0
    assert whole[upper, 2].max() > 0.3  # it makes way
    edge = np.linalg.norm(skin.vertices[:, :2], axis=1) > 40
    np.testing.assert_array_equal(whole[edge], columns[edge])


def test_columns_that_cross_nothing_stay():
    skin = two_sheets()
    columns = np.random.default_rng(4).normal(size=(1, 3, 2)) * np.ones((len(skin.vertices), 1, 1))
    np.testing.assert_array_equal(untangled(skin, skin.vertices, columns, tried=3), columns)


def two_sheets() -> Skin:
    """Squares of 100 mm, one 2 mm above the other."""
    line = np.linspace(-50, 50, 13)
    plane = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    number = np.arange(len(plane)).reshape(13, 13)
    one = np.stack([number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]], axis=-1).reshape(-1, 4)
    quads = np.concatenate([one, one + len(plane)])
    refine, fine = catmull_clark(2 * len(plane), quads)
    split, triangles = to_triangles(refine.shape[0], fine)
    vertices = np.concatenate([np.insert(plane, 2, z, axis=1) for z in (0.0, 2.0)])
    nothing = np.zeros((68, 1), dtype=int)
    return Skin(vertices, np.zeros((0, *vertices.shape)), np.zeros(0, dtype=bool), quads, (split @ refine).tocsr(),
                triangles, nothing, nothing.astype(float))  # fmt: skip


def test_skulls_become_narrower_and_faces_and_necks_do_not():
    landmarks = np.zeros((68, 3))
    landmarks[:, 2] = 100.0
    points = np.array([[70, 60, 0], [70, 60, 100], [70, -50, 0], [70, 0.75 * FADES, 0]], dtype=float)
    factor = narrowing(points, landmarks)
    np.testing.assert_array_equal(factor[:, 1:], 1)
    np.testing.assert_allclose(factor[:, 0], [SHARE, 1, 1, (1 + SHARE) / 2])
