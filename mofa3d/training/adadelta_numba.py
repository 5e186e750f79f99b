"""Numba kernels of `mofa3d.training.adadelta`: one call does one run of elements and releases the GIL."""

from __future__ import annotations

import numpy as np
from numba import njit

from mofa3d.kernels.compiled import compiled
from mofa3d.kernels.simd import LANES, fill, load, prefetch, root, store, store_rounded

# Not "nnan" and "ninf": a NaN must come through, or a diverged training would go unnoticed.
_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "arcp", "nsz"}}

ZERO = np.float32(0)
AHEAD, FAR_AHEAD = 16, 64  # rows of `LANES` numbers: what is read so much later is brought into the cache meanwhile


@compiled(**_OPTIONS)
def adadelta(values, gradients, square_means, change_means, rate, rho, one_minus_rho, epsilon, decay):
    """One step of AdaDelta, in place on all but `gradients`; arrays are (R, `LANES`).

    Reference: Zeiler 2012, "ADADELTA: An Adaptive Learning Rate Method", Algorithm 1, with PyTorch's factor `rate`.
    """
    numbers = rate, rho, one_minus_rho, epsilon, decay
    means = square_means, change_means
    for i in range(len(values)):
        ahead = LANES * (i + FAR_AHEAD)
        prefetch(values, ahead)
        prefetch(gradients, ahead)
        prefetch(square_means, ahead)
        prefetch(change_means, ahead)
        store(values, i, _step(means, i, load(values, i), load(gradients, i), numbers))


@compiled(**_OPTIONS)
def adadelta_of_product(
    values, left, right, square_means, change_means, rounded, back, rows, rate, rho, one_minus_rho, epsilon, decay
):
    """`adadelta` on some rows of matrices (O, I), for the gradient left · right.

    Two rows at a time and all in one loop: its roots and quotients take as long as the memory, so that neither waits
    for the other, and the products with the old values cost nothing.

    Args:
        values, square_means, change_means: (O I / `LANES`, `LANES`), the matrices as they lie in memory.
        left, right: (O, B) and (B I / `LANES`, `LANES`).
        rounded: (O I / `LANES`, `LANES`) the bits of the values in bfloat16, to be brought up to date, or (0, `LANES`).
        back: (B I / `LANES`, `LANES`), to which leftᵀ · values, as they were, is added for these rows.
        rows: (R,) which ones.
    """
    numbers = rate, rho, one_minus_rho, epsilon, decay
    means = square_means, change_means
    width = len(values) // len(left)
    for pair in range(len(rows) // 2):
        upper, lower = rows[2 * pair], rows[2 * pair + 1]
        for column in range(width):
            i, j = upper * width + column, lower * width + column
            for ahead in (LANES * (i + AHEAD), LANES * (j + AHEAD)):
                prefetch(values, ahead)
                prefetch(square_means, ahead)
                prefetch(change_means, ahead)
            first, second = load(values, i), load(values, j)
            first_gradient, second_gradient = fill(ZERO), fill(ZERO)
            for k in range(left.shape[1]):
                a, b, at = left[upper, k], left[lower, k], k * width + column
                factor = load(right, at)
                first_gradient += a * factor
                second_gradient += b * factor
                store(back, at, load(back, at) + (a * first + b * second))
            _keep(values, rounded, i, _step(means, i, first, first_gradient, numbers))
            _keep(values, rounded, j, _step(means, j, second, second_gradient, numbers))
    if len(rows) % 2:
        row = rows[-1]
        for column in range(width):
            i, gradient = row * width + column, fill(ZERO)
            value = load(values, i)
            for k in range(left.shape[1]):
                a, at = left[row, k], k * width + column
                gradient += a * load(right, at)
                store(back, at, load(back, at) + a * value)
            _keep(values, rounded, i, _step(means, i, value, gradient, numbers))


@compiled(**_OPTIONS)
def adadelta_at_rest(square_means, change_means, rows, width, rho):
    """`adadelta` on some rows of matrices whose gradient is zero there: values stay, and means fade.

    Args:
        square_means, change_means, rows: as in `adadelta_of_product`.
        width: I / `LANES`.
    """
    for row in rows:
        for i in range(row * width, (row + 1) * width):
            store(square_means, i, rho * load(square_means, i))
            store(change_means, i, rho * load(change_means, i))


@njit(inline="always")
def _step(means, i, value, gradient, numbers):
    """The `LANES` values at i after a step; numbers of a wider type than the arrays' would halve its speed."""
    square_means, change_means = means
    rate, rho, one_minus_rho, epsilon, decay = numbers
    gradient += decay * value
    change_mean = load(change_means, i)
    square_mean = rho * load(square_means, i) + one_minus_rho * (gradient * gradient)
    # A root of the quotient, because roots and divisions are what the arithmetic waits for.
    change = root((change_mean + epsilon) / (square_mean + epsilon)) * gradient
    store(square_means, i, square_mean)
    store(change_means, i, rho * change_mean + one_minus_rho * (change * change))
    return value - rate * change


@njit(inline="always")
def _keep(values, rounded, i, value):
    store(values, i, value)
    if len(rounded):
        store_rounded(rounded, i, value)
