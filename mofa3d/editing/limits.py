"""How far an edit may go: beyond, there is no face to see, or no number that float32 can hold."""

from __future__ import annotations

DEGREES = (-3600.0, 3600.0)  # ten turns
MILLIMETRES = (-10_000.0, 10_000.0)
DIRECTION = (-1e6, 1e6)  # of each part of a vector of any length
LIGHT = (0.0, 100.0)  # display RGB of a white surface
EXPOSURE = (0.0, 100.0)
LIGHTER = (-1.0, 1.0)  # display RGB
