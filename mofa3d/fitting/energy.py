"""The energy of a fit to one photograph, and its Gauss-Newton normal equations.

    E(x) = w_photo · mean ‖c_i - I(u_i)‖₂ + w_land · Eq. 9 + w_lips · lip closure + w_reg · Eq. 10 + w_white · colored
           light

The mean is over the sampled vertices that are visible, as in Garrido et al. 2016, where Eq. 8 of Tewari et al. 2017
divides by a constant: so a face gains nothing by turning vertices away. The ℓ2,1 norm is minimised by iteratively
reweighted least squares, Σ‖r‖ ≤ ½ Σ(‖r‖²/‖r₀‖ + ‖r₀‖), whose weights come from the last residuals r₀.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mofa3d.fitting.jacobian import SampledFace, Samples, landmark_rows, photometric_rows, sample, vertex_derivatives
from mofa3d.losses import LANDMARKS_46, LIP_PAIRS, WEIGHT_EXPRESSION, WEIGHT_REFLECTANCE
from mofa3d.objective import LossWeights
from mofa3d.scene import Scene
from mofa3d.semantic_code import CodeSizes, SemanticCode

SMALLEST = 0.01  # color distance: a vertex that fits better than this weighs no more than one that fits so
WORST = math.sqrt(3)  # color distance of black and white: the error of a face of which nothing is seen
BLOCK = 1024  # vertices whose rows of the Jacobian are held at a time


class Points(NamedTuple):
    """Landmarks of a photograph.

    Attributes:
        pixels: (68, 2).
        confidence: (68,) in 0 to 1; 0 takes a point out.
    """

    pixels: Float[Tensor, "68 2"]
    confidence: Float[Tensor, "68"]


class Evaluation(NamedTuple):
    """The energy at a code, and what its derivatives need.

    Attributes:
        total: E(x).
        vector: (D,) the code.
        scene: a batch of one.
        samples: the photograph at the sampled vertices.
        residuals: (S, 3) color minus photograph.
        counted: (S,) which vertices are visible and inside the photograph.
    """

    total: float
    vector: Float[Tensor, "D"]
    scene: Scene
    samples: Samples
    residuals: Float[Tensor, "S 3"]
    counted: Bool[Tensor, "S"]


class NormalEquations(NamedTuple):
    """A quadratic model of the energy: E(x + d) ≈ E(x) + gradient · d + ½ dᵀ hessian d, in float64."""

    hessian: Float[Tensor, "D D"]
    gradient: Float[Tensor, "D"]


class FitEnergy:
    """The energy of one photograph's fit.

    Args:
        face: the vertices that are compared.
        image: (H, W, 3) RGB in 0 to 1; it may be smaller than the camera's image.
        points: the photograph's landmarks in pixels of the camera, or ``None``.
        weights: of the terms; without that of landmarks, lips are not compared either.
        shape_prior: what the shape costs beyond its part of Eq. 10, times Σα².
    """

    def __init__(
        self,
        face: SampledFace,
        image: Float[Tensor, "H W 3"],
        points: Points | None,
        weights: LossWeights,
        shape_prior: float = 0.0,
    ) -> None:
        self.face, self.image, self.weights = face, image, weights
        self.points = points if weights.landmark else None
        self.shrink = face.decode.camera.image_size / image.shape[0]
        self.prior = prior_matrix(face.decode.model.sizes, weights, shape_prior)

    @torch.no_grad()
    def evaluate(self, vector: Float[Tensor, "D"]) -> Evaluation:
        """The energy at a code (float64)."""
        dtype = self.image.dtype
        face, sizes = self.face, self.face.decode.model.sizes
        scene = face.decode(SemanticCode.from_vector(vector[None].to(dtype), sizes))
        pixels = scene.pixels[0, face.vertices]
        size = face.decode.camera.image_size
        inside = ((pixels >= 0) & (pixels <= size)).all(dim=1, keepdim=True)
        # Pixels that are not finite, after a step that was far too long, have no place in the photograph.
        samples = sample(self.image, pixels.where(inside, 0.0) / self.shrink)
        residuals = scene.colors[0, face.vertices] - samples.colors
        counted = scene.front_facing[0, face.vertices] & inside[:, 0]
        number = int(counted.sum())
        error = float(residuals[counted].norm(dim=1).double().sum()) / number if number else WORST
        total = self.weights.photometric * error + float(vector @ self.prior @ vector)
        if self.points is not None:
            for weight, found in self._point_terms(self._offsets(scene, self.points), self.points):
                total += weight * float(found.double().square().sum())
        return Evaluation(total, vector, scene, samples, residuals, counted)

    def _offsets(self, scene: Scene, points: Points) -> Float[Tensor, "68 2"]:
        """u - s in units of half the image width."""
        return (scene.landmarks[0] - points.pixels) / (scene.camera.image_size / 2)

    def _point_terms(self, values: Float[Tensor, "68 *K"], points: Points) -> list[tuple[float, Float[Tensor, "P *K"]]]:
        """Weights of the terms of landmarks, and what of the offsets, or of their derivatives, is squared in each.

        √c (u - s) of the 46 points (Eq. 9), and the difference of that of two lip points; see
        `mofa3d.losses.lip_closure`.
        """
        chosen, (upper, lower) = list(LANDMARKS_46), (list(points) for points in zip(*LIP_PAIRS, strict=True))
        confidence = points.confidence
        pairs = [
            (self.weights.landmark, values[chosen], confidence[chosen]),
            (self.weights.lip_closure, values[upper] - values[lower], confidence[upper] * confidence[lower]),
        ]
        return [
            (weight, certain.sqrt().view(-1, *[1] * (found.ndim - 1)) * found)
            for weight, found, certain in pairs
            if weight
        ]

    @torch.no_grad()
    def normal_equations(self, at: Evaluation) -> NormalEquations:
        """The quadratic model at an evaluated code.

        Products are taken in the precision of the face model, block by block, and solved in float64.
        """
        hessian = 2 * self.prior
        gradient = hessian @ at.vector
        chosen = at.counted.nonzero().flatten()
        if len(chosen):
            gradients = at.samples.gradients / self.shrink
            derivatives = vertex_derivatives(self.face, at.scene, gradients)
            residuals = at.residuals[chosen]
            weights = self.weights.photometric / len(chosen) / residuals.norm(dim=1).clamp_min(SMALLEST)
            for part, residual, factor in zip(
                chosen.split(BLOCK), residuals.split(BLOCK), weights.sqrt().split(BLOCK), strict=True
            ):
                rows = photometric_rows(self.face, derivatives, part, factor)
                hessian += square(rows)
                gradient += rows.T @ (factor[:, None] * residual).flatten()
        if self.points is not None:
            points = self.points
            moves = landmark_rows(self.face, at.scene) / (at.scene.camera.image_size / 2)
            offsets = self._offsets(at.scene, points)
            terms = zip(self._point_terms(moves, points), self._point_terms(offsets, points), strict=True)
            for (weight, rows), (_, residual) in terms:
                rows = rows.flatten(0, 1)
                hessian += 2 * weight * square(rows)
                gradient += 2 * weight * (rows.T @ residual.flatten())
        return NormalEquations(hessian, gradient)


def square(rows: Float[Tensor, "R D"]) -> Float[Tensor, "D D"]:
    """rowsᵀ rows; NumPy sees that both factors are one and computes half of it, which PyTorch does not."""
    array = rows.numpy()
    return torch.from_numpy(array.T @ array)


def prior_matrix(sizes: CodeSizes, weights: LossWeights, shape_prior: float = 0.0) -> Float[Tensor, "D D"]:
    """Q of the code's own terms xᵀQx: the regulariser (Eq. 10) and the light's distance from white, in float64."""
    where = sizes.slices
    diagonal = torch.zeros(sizes.total, dtype=torch.float64)
    diagonal[where["shape"]] = weights.regularizer + shape_prior
    diagonal[where["expression"]] = weights.regularizer * WEIGHT_EXPRESSION
    diagonal[where["reflectance"]] = weights.regularizer * WEIGHT_REFLECTANCE
    matrix = torch.diag(diagonal)
    from_grey = torch.eye(3, dtype=torch.float64) - 1 / 3
    light = where["illumination"]
    matrix[light, light] = weights.coloured_light * torch.block_diag(*[from_grey] * 9)
    return matrix
