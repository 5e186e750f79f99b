"""How fast this machine moves numbers between memory and processor at best."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from mofa3d.kernels import parallel
from mofa3d.kernels.compiled import compiled
from mofa3d.kernels.simd import LANES, load, prefetch, store

AHEAD = 64  # rows
PARTS = 16


@compiled(nogil=True)
def scale(rows, factor):
    """Multiply an array (R, `LANES`) of float32 by a number, in place."""
    for i in range(len(rows)):
        prefetch(rows, LANES * (i + AHEAD))
        store(rows, i, factor * load(rows, i))


def scale_all(numbers: Tensor, factor: float = 1.0) -> None:
    """Multiply a float32 tensor on the CPU, whose size is a multiple of `LANES`, in place and on all threads."""
    rows = numbers.numpy().reshape(-1, LANES)
    parallel.run(scale, [(part, np.float32(factor)) for part in np.array_split(rows, PARTS)])
