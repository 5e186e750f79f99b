"""Rows of numbers in kernels follow NumPy's arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numba import njit
from numba.core.errors import TypingError

from mofa3d.kernels.simd import (
    LANES,
    above,
    at_least,
    clip,
    fill,
    load,
    load_pairs,
    prefetch,
    root,
    store,
    store_rounded,
    whole,
)

pytestmark = pytest.mark.processor


@njit
def compute(rows, results):
    a, b, number = load(rows, 0), load(rows, 1), np.float32(3)
    store(results, 0, a + b)
    store(results, 1, a - number)
    store(results, 2, number * b)
    store(results, 3, number / b)
    store(results, 4, -a)
    store(results, 5, at_least(a, number))
    store(results, 6, above(a, b))
    store(results, 7, root(b))
    total = fill(number)
    for _ in range(4):
        total += a
    total -= b
    total *= a
    total /= b
    store(results, 8, total)


@pytest.fixture
def rows() -> np.ndarray:
    generator = np.random.default_rng(0)
    rows = generator.uniform(1, 6, (2, LANES)).astype(np.float32)
    rows[0, 2] = rows[1, 2]
    return rows


def test_operations(rows):
    results = np.zeros((9, LANES), np.float32)
    compute(rows, results)
    a, b = rows
    expected = [a + b, a - 3, 3 * b, 3 / b, -a, np.maximum(a, 3), a > b, np.sqrt(b), (3 + 4 * a - b) * a / b]
    np.testing.assert_allclose(results, np.array(expected, np.float32), rtol=1e-6)


def test_nan_stays_but_is_above_nothing(rows):
    rows[0, 5] = np.nan
    results = np.zeros((9, LANES), np.float32)
    compute(rows, results)
    assert np.isnan(results[[0, 1, 4, 5, 8], 5]).all()
    assert results[6, 5] == 0
    assert np.isfinite(np.delete(results, 5, axis=1)).all()


def test_rounding_is_that_of_bfloat16():
    @njit
    def round_all(rows, bits):
        for i in range(len(rows)):
            store_rounded(bits, i, load(rows, i))

    numbers = np.random.default_rng(0).standard_normal((50, LANES)).astype(np.float32)
    numbers[0] = 1 + np.array([1, 3, 5, 7, 0.99, 1.01, 0, -1], np.float32) * 2**-8  # the first four lie in the middle
    bits = np.zeros((50, LANES), np.uint16)
    round_all(numbers, bits)
    assert torch.equal(torch.from_numpy(bits).view(torch.bfloat16), torch.from_numpy(numbers).bfloat16())


def test_neighbours_in_images():
    @njit
    def pairs(images, rows, results):
        left, right = load_pairs(images, 20, load(rows, 0), load(rows, 1), 5)
        store(results, 0, left)
        store(results, 1, right)

    generator = np.random.default_rng(0)
    images = generator.standard_normal((LANES - 2, 3, 4, 5)).astype(np.float32)
    row, column = generator.integers(4, size=LANES), generator.integers(4, size=LANES)
    results = np.zeros((2, LANES), np.float32)
    pairs(images.reshape(len(images), -1), np.array([row, column], np.float32), results)
    image = np.minimum(np.arange(LANES), len(images) - 1)  # lanes beyond the last image repeat it
    assert (results == images[image, 1, row, [column, column + 1]]).all()


def test_images_of_other_types_are_no_images():
    @njit
    def pairs(images, rows):
        load_pairs(images, 0, load(rows, 0), load(rows, 0), 2)

    rows = np.zeros((1, LANES), np.float32)
    pairs(np.zeros((1, 8), np.float32), rows)
    for kind in (np.float64, np.uint8):
        with pytest.raises(TypingError):
            pairs(np.zeros((1, 8), kind), rows)


def test_bounds_and_whole_numbers():
    @njit
    def compute_both(rows, results):
        value = load(rows, 0)
        store(results, 0, clip(value, np.float32(-1), np.float32(2)))
        store(results, 1, whole(load(rows, 1)))

    rows = np.zeros((2, LANES), np.float32)
    rows[:, :6] = [[-3, -1, 0.5, 2, 7, np.nan], [2.9, -2.9, 0.4, 5, 1e6 + 0.5, -0.0]]
    results = np.ones((2, LANES), np.float32)
    compute_both(rows, results)
    assert results[0, :6].tolist() == [-1, -1, 0.5, 2, 2, -1]
    assert results[1, :6].tolist() == [2, -2, 0, 5, 1e6, 0]


def test_what_is_prefetched_stays_as_it_is_and_may_lie_anywhere():
    @njit
    def prefetch_all(array, far):
        for index in range(-far, len(array) + far):
            prefetch(array, index)

    numbers = np.arange(100, dtype=np.float32)
    prefetch_all(numbers, 1 << 20)
    assert numbers.tolist() == list(range(100))
    assert "llvm.prefetch" in next(iter(prefetch_all.inspect_llvm().values()))
