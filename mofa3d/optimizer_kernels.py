"""Numba kernels of `mofa3d.optimizers`: one call does one run of elements and releases the GIL."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from mofa3d.simd import fill, load, root, store, store_rounded

# Not "nnan" and "ninf": a NaN must come through, or a diverged training would go unnoticed.
_OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "arcp", "nsz"}}

ZERO = np.float32(0)


@njit(**_OPTIONS)
def adadelta(values, gradients, square_means, change_means, rate, rho, one_minus_rho, epsilon, decay):
    """One step of AdaDelta, in place on all but `gradients`; numbers of a wider type than the arrays' halve its speed.

    Reference: Zeiler 2012, "ADADELTA: An Adaptive Learning Rate Method", Algorithm 1, with PyTorch's factor `rate`.
    """
    for i in range(values.shape[0]):
        gradient = gradients[i] + decay * values[i]
        square_mean = rho * square_means[i] + one_minus_rho * gradient * gradient
        change_mean = change_means[i]
        # A root of the quotient, because roots and divisions are what the arithmetic waits for.
        change = math.sqrt((change_mean + epsilon) / (square_mean + epsilon)) * gradient
        square_means[i] = square_mean
        change_means[i] = rho * change_mean + one_minus_rho * change * change
        values[i] -= rate * change


@njit(**_OPTIONS)
def adadelta_of_product(
    values, left, right, square_means, change_means, rounded, start, stop, rate, rho, one_minus_rho, epsilon, decay
):
    """`adadelta` on the rows `start` to `stop` of matrices (O, I), for the gradient left · right.

    All in one loop: its roots and quotients take as long as the memory, so neither may wait for the other.

    Args:
        values, square_means, change_means: (O I / `LANES`, `LANES`), the matrices as they lie in memory.
        left, right: (O, B) and (B I / `LANES`, `LANES`).
        rounded: (O I,) the bits of the values in bfloat16, to be brought up to date, or (0,).
    """
    width = len(values) // len(left)
    for row in range(start, stop):
        for column in range(width):
            gradient = fill(ZERO)
            for k in range(left.shape[1]):
                gradient += left[row, k] * load(right, k * width + column)
            i = row * width + column
            value, change_mean = load(values, i), load(change_means, i)
            gradient += decay * value
            square_mean = rho * load(square_means, i) + one_minus_rho * (gradient * gradient)
            change = root((change_mean + epsilon) / (square_mean + epsilon)) * gradient
            value -= rate * change
            store(square_means, i, square_mean)
            store(change_means, i, rho * change_mean + one_minus_rho * (change * change))
            store(values, i, value)
            if len(rounded):
                store_rounded(rounded, i, value)
