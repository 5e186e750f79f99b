"""Numba kernels of `mofa3d.fitting.jacobian`: rows of the Jacobian from small matrices per vertex and the model's
bases.
"""

from __future__ import annotations

from mofa3d.kernels.compiled import compiled

# Not "nnan" and "ninf": a NaN must come through, as in `mofa3d.kernels.surface_numba`.
_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "arcp", "nsz"}}


@compiled(**_OPTIONS)
def fill(
    rows, chosen, factors, starts, neighbours, geometry_basis, reflectance_basis,
    geometry, turn, shift, irradiance, reflectance, light,
):  # fmt: skip
    """Fill three rows (red, green, blue) for each chosen vertex, in the order of the code, times the vertex's factor.

    `geometry` has a 3 × 3 matrix for each vertex and each of its `neighbours`; the vertex's own lie from its `starts`
    to the next one's.
    """
    moves, tints = geometry_basis.shape[2], reflectance_basis.shape[2]
    pose, lamps = moves + tints, moves + tints + 6
    for place in range(chosen.shape[0]):
        vertex, factor, first = chosen[place], factors[place], 3 * place
        for channel in range(3):
            for column in range(moves):
                rows[first + channel, column] = 0.0
            for column in range(lamps, rows.shape[1]):
                rows[first + channel, column] = 0.0
        for entry in range(starts[vertex], starts[vertex + 1]):
            neighbour = neighbours[entry]
            for channel in range(3):
                x = factor * geometry[entry, channel, 0]
                y = factor * geometry[entry, channel, 1]
                z = factor * geometry[entry, channel, 2]
                row = first + channel
                for column in range(moves):
                    rows[row, column] += (
                        x * geometry_basis[neighbour, 0, column]
                        + y * geometry_basis[neighbour, 1, column]
                        + z * geometry_basis[neighbour, 2, column]
                    )
        for channel in range(3):
            row = first + channel
            lit = factor * irradiance[vertex, channel]
            for column in range(tints):
                rows[row, moves + column] = lit * reflectance_basis[vertex, channel, column]
            for axis in range(3):
                rows[row, pose + axis] = factor * turn[vertex, channel, axis]
                rows[row, pose + 3 + axis] = factor * shift[vertex, channel, axis]
            shade = factor * reflectance[vertex, channel]
            for band in range(light.shape[1]):
                rows[row, lamps + 3 * band + channel] = shade * light[vertex, band]
