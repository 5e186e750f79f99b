"""How long the blocks of a semantic code are, and where they lie in its vector."""

from __future__ import annotations

from dataclasses import dataclass

LIGHT_SIZE = 27
POSE_SIZE = 6


@dataclass(frozen=True)
class CodeSizes:
    """Numbers of shape, expression and reflectance coefficients; the rest of the code has fixed sizes."""

    shape: int = 80
    expression: int = 64
    reflectance: int = 80

    @property
    def total(self) -> int:
        return self.shape + self.expression + self.reflectance + POSE_SIZE + LIGHT_SIZE

    @property
    def slices(self) -> dict[str, slice]:
        """Where each block lies in the vector, in the paper's order α, δ, β, T, t, γ (Eq. 1)."""
        lengths = {
            "shape": self.shape,
            "expression": self.expression,
            "reflectance": self.reflectance,
            "rotation": 3,
            "translation": 3,
            "illumination": LIGHT_SIZE,
        }
        result, start = {}, 0
        for name, length in lengths.items():
            result[name] = slice(start, start + length)
            start += length
        return result
