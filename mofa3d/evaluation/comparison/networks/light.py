"""The light of a photograph on a geometry that is known: linear least squares.

Systems that only estimate geometry get their light so, on the average reflectance, as shape from shading begins in
Richardson et al. 2016.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mofa3d import harmonics
from mofa3d.camera import inside, sample
from mofa3d.decoder import Decoder
from mofa3d.evaluation.errors import Encode
from mofa3d.scene import Scene
from mofa3d.semantic_code import SemanticCode

PRIOR = 1e-3  # weight of the even light against one visible vertex's share of the face


def estimate_light(scene: Scene, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 9 3"]:
    """Illumination codes γ that bring the scene's reflectance nearest to a photograph.

    Minimises Σ_i (I(u_i) − r_i Σ_b γ'_b H_b(n_i))² / N over the visible frontal vertices, for each color by itself,
    with a slight pull towards code 0 where they say nothing.
    """
    seen = (scene.front_facing & scene.frontal & inside(scene.pixels, image)).to(image)
    weights = seen / seen.sum(dim=1, keepdim=True).clamp_min(1.0)
    basis = harmonics.basis(scene.normals)
    shaded = scene.reflectance[..., None, :] * basis[..., None]  # (B, N, 9, 3)
    ambient = torch.zeros_like(scene.illumination)
    ambient[:, 0] = harmonics.AMBIENT
    missing = sample(image, scene.pixels).transpose(1, 2) - torch.einsum("bnkc,bkc->bnc", shaded, ambient)
    normal = torch.einsum("bn,bnkc,bnlc->bckl", weights, shaded, shaded)
    normal = normal + PRIOR * torch.eye(9, dtype=image.dtype, device=image.device)
    right = torch.einsum("bn,bnkc,bnc->bck", weights, shaded, missing)
    return torch.linalg.solve(normal, right).transpose(1, 2)


def with_light(encode: Encode, decode: Decoder) -> Encode:
    """The same encoder with the light of `estimate_light` in the place of its own."""

    def encode_and_light(image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D"]:
        code = SemanticCode.from_vector(encode(image), decode.model.sizes)
        return code.replace(illumination=estimate_light(decode(code), image)).to_vector()

    return encode_and_light
