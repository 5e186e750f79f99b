"""Numba kernels of `mofa3d.optimizers`: one call does one run of elements and releases the GIL."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

# Not "nnan" and "ninf": a NaN must come through, or a diverged training would go unnoticed.
_OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "arcp", "nsz"}}


FACTORS = 5  # multiplied in one go; the paper's batch


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

    Args:
        left, right: (O, B) and (B, I); B is a multiple of `FACTORS`.
        rounded: (O, I) the bits of the values in bfloat16, to be brought up to date, or (0, I).
    """
    numbers = rate, rho, one_minus_rho, epsilon, decay
    gradients = np.empty(values.shape[1], dtype=np.float32)
    for row in range(start, stop):
        gradients[:] = 0
        # In a loop of its own: the compiler keeps only so many arrays apart.
        for k in range(0, left.shape[1], FACTORS):
            factors = left[row, k], left[row, k + 1], left[row, k + 2], left[row, k + 3], left[row, k + 4]
            _add_products(gradients, factors, right[k], right[k + 1], right[k + 2], right[k + 3], right[k + 4])
        adadelta(values[row], gradients, square_means[row], change_means[row], *numbers)
        if len(rounded):
            _round(values[row].view(np.uint32), rounded[row])


@njit(**_OPTIONS)
def _add_products(total, factors, first, second, third, fourth, fifth):
    a, b, c, d, e = factors
    for i in range(len(total)):
        total[i] += a * first[i] + b * second[i] + c * third[i] + d * fourth[i] + e * fifth[i]


@njit(**_OPTIONS)
def _round(bits, rounded):
    """Bits of float32 to bits of bfloat16, to the nearest, ties to even."""
    for i in range(len(bits)):
        rounded[i] = (bits[i] + np.uint32(0x7FFF) + ((bits[i] >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
