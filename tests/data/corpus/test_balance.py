"""Every group has its share, and the same seed chooses the same."""

from __future__ import annotations

import pytest

from mofa3d.data.corpus.balance import balanced, group_of


@pytest.mark.parametrize(
    ("photo", "group"),
    [
        ("faces/utkface/26_1_2_20170116182317362.jpg.chip.jpg", "utk, Asian"),
        ("100_0_0_20170112213500903.jpg", "utk, White"),
        ("faces/26_1_4_2017/own.jpg", "utk"),  # a folder is no label
        ("26_1_5_2017.jpg", "utk"),  # there is no label 5
        ("faces/Ann_Lee_0001.jpg", "utk"),
        ("talk.mp4#00000012", "utk"),
    ],
)
def test_group_of_a_photograph(photo, group):
    assert group_of(photo, "utk") == group


def test_equal_shares():
    groups = ["a"] * 50 + ["b"] * 30 + ["c"] * 20
    chosen = balanced(groups, 30, seed=1)
    assert [sum(groups[i] == name for i in chosen) for name in "abc"] == [10, 10, 10]
    assert chosen == sorted(set(chosen))


def test_small_groups_give_all_and_others_more():
    groups = ["a"] * 50 + ["b"] * 3 + ["c"] * 20
    chosen = balanced(groups, 33, seed=1)
    assert [sum(groups[i] == name for i in chosen) for name in "abc"] == [15, 3, 15]
    assert balanced(groups, 1000, seed=1) == list(range(73))


def test_the_seed_decides():
    groups = ["a"] * 100
    assert balanced(groups, 10, seed=1) == balanced(groups, 10, seed=1)
    assert balanced(groups, 10, seed=1) != balanced(groups, 10, seed=2)
