"""The held-out set: by identity, repeatable, and indifferent to what else is there."""

from __future__ import annotations

from collections import Counter

import pytest

from mofa3d.data.corpus.split import held_out, identity_of, repeat_evenly, spread

PEOPLE = [f"Person_{i}" for i in range(2000)]  # any strings will do


@pytest.mark.parametrize(
    ("photo", "identity"),
    [
        ("lfw/George_W_Bush/George_W_Bush_0001.jpg", "George_W_Bush"),
        ("ytf/images/George_W_Bush_17.jpg", "George_W_Bush"),  # the same person in another corpus
        ("Anna_1.png", "Anna"),
        ("Jean-Luc_Müller_12.jpg", "Jean-Luc_Müller"),
        ("26_1_0_20170116.jpg", "26_1_0_20170116.jpg"),  # numbers are no name: each is somebody else
        ("a/IMG_0001.jpg", "a/IMG_0001.jpg"),
        ("test_image_3.png", "test_image_3.png"),
        ("Man_Ray_3.png", "Man_Ray"),
        ("a/portrait.jpg", "a/portrait.jpg"),
        ("b/portrait.jpg", "b/portrait.jpg"),
        ("Anna_.jpg", "Anna_.jpg"),
    ],
)
def test_identity_of(photo, identity):
    assert identity_of(photo) == identity


def test_photographs_of_one_person_stay_together():
    people = ("Ada_L", "Bob_M", "Cy_N")
    identities = [identity_of(f"{person}_{number}.jpg") for person in people for number in range(20)]
    kept = held_out(identities, 0.5, seed=3)
    assert [len(set(kept[i : i + 20])) for i in (0, 20, 40)] == [1, 1, 1]


@pytest.mark.parametrize("fraction", [0.08, 0.5])
def test_fraction(fraction):
    assert sum(held_out(PEOPLE, fraction, seed=0)) / len(PEOPLE) == pytest.approx(fraction, abs=0.03)


def test_bounds_mean_none_and_all():
    assert not any(held_out(PEOPLE, 0.0, seed=0))
    assert all(held_out(PEOPLE, 1.0, seed=0))


def test_choice_does_not_depend_on_the_others():
    kept = dict(zip(PEOPLE, held_out(PEOPLE, 0.2, seed=5), strict=True))
    some = PEOPLE[::-3]
    assert held_out(some, 0.2, seed=5) == [kept[person] for person in some]


def test_more_held_out_keeps_those_that_were():
    fewer, more = held_out(PEOPLE, 0.1, seed=1), held_out(PEOPLE, 0.3, seed=1)
    assert all(b for a, b in zip(fewer, more, strict=True) if a)


def test_choice_is_the_same_on_every_machine():
    assert [i for i, out in enumerate(held_out(PEOPLE[:40], 0.1, seed=0)) if out] == [0, 13, 17, 24, 25, 27, 28, 37]


def test_seeds_differ():
    assert held_out(PEOPLE, 0.5, seed=0) != held_out(PEOPLE, 0.5, seed=1)


def test_names_that_are_no_utf8():
    assert held_out(["a\udcff"], 1.0, seed=0) == [True]


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_fraction_outside_its_range(fraction):
    with pytest.raises(ValueError, match="0 to 1"):
        held_out(PEOPLE, fraction, seed=0)


@pytest.mark.parametrize(
    ("count", "chosen"),
    [(3, [0, 3, 6]), (7, [0, 1, 2, 4, 5, 7, 8]), (1, [0]), (10, list(range(10))), (99, list(range(10)))],
)
def test_a_few_evenly_spread(count, chosen):
    assert spread(list(range(10)), count) == chosen


def test_small_sources_are_repeated():
    sources = ["large"] * 10 + ["small"] * 3 + ["large", "middle", "middle", "middle", "middle"]
    items = [i for i in range(18) if i != 10]
    found = Counter(repeat_evenly(items, sources))
    assert set(found) == set(items)
    # 11 of the large one; 2 of the small one, 5.5 times as rare, and 4 of the middle one, 2.75 times as rare.
    assert {sources[i]: number for i, number in found.items()} == {"large": 1, "small": 6, "middle": 3}
