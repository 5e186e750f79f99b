"""Image formation of the paper: no image at all, one colour sample per vertex (Tewari et al. 2017, Sec. 5)."""

from __future__ import annotations

from dataclasses import dataclass

from mofa3d.scene import Rendering, Scene


@dataclass(frozen=True)
class VertexRenderer:
    """Samples at the projected vertices; those in 𝒱 and in the frontal region weigh 1/N_frontal, all others 0.

    Differentiable: positions and colours. Not differentiable: which vertices count.

    Reference: Tewari et al. 2017, Eq. 8. Its constant 1/N rewards turning or shrinking the face, as Sec. 8 admits.
    """

    def __call__(self, scene: Scene) -> Rendering:
        counted = scene.front_facing & scene.frontal
        total = scene.frontal.sum().clamp_min(1)
        return Rendering(positions=scene.pixels, colors=scene.colors, weights=counted.to(scene.colors.dtype) / total)
