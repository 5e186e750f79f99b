"""The semantic code: what the encoder predicts from a photograph."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float
from torch import Tensor

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
        """Slice of each block in the vector, in the paper's order α, δ, β, T, t, γ (Eq. 1)."""
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


@dataclass(frozen=True)
class OutputScales:
    """Scale of the network's output for each block of the code.

    Rotation and, above all, z-translation are small: with larger ones an unsupervised face drifts away or shrinks
    before its colors fit.
    """

    shape: float = 1.0
    expression: float = 1.0
    reflectance: float = 1.0
    rotation: float = 0.2
    translation_xy: float = 10.0
    translation_z: float = 10.0
    illumination: float = 0.2

    def vector(self, sizes: CodeSizes) -> Float[Tensor, "D"]:
        scales = torch.ones(sizes.total, dtype=torch.float32)
        where = sizes.slices
        for block in ("shape", "expression", "reflectance", "rotation", "illumination"):
            scales[where[block]] = getattr(self, block)
        start = where["translation"].start
        scales[start : start + 2] = self.translation_xy
        scales[start + 2] = self.translation_z
        return scales


@dataclass(frozen=True)
class SemanticCode:
    """A batch of semantic codes (Tewari et al. 2017, Eq. 1).

    Attributes:
        shape: α, in standard deviations.
        expression: δ, in standard deviations.
        reflectance: β, in standard deviations.
        rotation: axis-angle, radians.
        translation: millimetres.
        illumination: γ, spherical-harmonics coefficients (basis × RGB) without the ambient 0.7.
    """

    shape: Float[Tensor, "B S"]
    expression: Float[Tensor, "B E"]
    reflectance: Float[Tensor, "B R"]
    rotation: Float[Tensor, "B 3"]
    translation: Float[Tensor, "B 3"]
    illumination: Float[Tensor, "B 9 3"]

    @property
    def sizes(self) -> CodeSizes:
        return CodeSizes(self.shape.shape[1], self.expression.shape[1], self.reflectance.shape[1])

    def __len__(self) -> int:
        return self.shape.shape[0]

    def __getitem__(self, index: slice | Tensor) -> SemanticCode:
        """Select a part of the batch by a slice or an index tensor; the batch dimension is kept."""
        return SemanticCode(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    @classmethod
    def zeros(cls, batch: int = 1, sizes: CodeSizes | None = None, **options) -> SemanticCode:
        """The average face, centered, frontal, in ambient light; `options` (default float32) go to `torch.zeros`."""
        sizes = sizes or CodeSizes()
        return cls.from_vector(torch.zeros(batch, sizes.total, **{"dtype": torch.float32, **options}), sizes)

    @classmethod
    def from_vector(cls, vector: Float[Tensor, "B D"], sizes: CodeSizes | None = None) -> SemanticCode:
        """Split vectors (B, 257) into the blocks, in the order α, δ, β, T, t, γ; γ is band-major (basis × RGB).

        Raises:
            ValueError: the length of the vector does not match `sizes` (default 80, 64, 80).
        """
        sizes = sizes or CodeSizes()
        if vector.ndim != 2 or vector.shape[1] != sizes.total:
            raise ValueError(
                f"a semantic code of sizes {sizes.shape}/{sizes.expression}/{sizes.reflectance} is a "
                f"(B, {sizes.total}) tensor, got {tuple(vector.shape)}; pass the model's own sizes (`model.sizes`)"
            )
        blocks = {name: vector[:, where] for name, where in sizes.slices.items()}
        blocks["illumination"] = blocks["illumination"].unflatten(1, (9, 3))
        return cls(**blocks)

    def to_vector(self) -> Float[Tensor, "B D"]:
        """The inverse of `from_vector`."""
        return torch.cat([getattr(self, field.name).flatten(1) for field in fields(self)], dim=1)

    def replace(self, **blocks: Tensor) -> SemanticCode:
        """A copy with some blocks replaced."""
        return replace(self, **blocks)
