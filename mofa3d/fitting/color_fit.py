"""Fit reflectance and light of a predicted code to its photograph by linear least squares; its geometry stays.

With the geometry known, a vertex's color is linear in the reflectance's coefficients, and linear in the light's. An
encoder's prediction of them is the vaguest part of its code: 80 modes of skin color do not fit through a few thousand
features. So they are solved for, in turns, with what minimises ::

    E(β, γ) = w_photo · mean ‖I(u_i) − c_i‖₂ + w_β ‖β − β₀‖² + w_white · losses.coloured_light + w_γ ‖γ − γ₀‖²
              + w_tone (‖t(β) − t(β₀)‖² + ‖m(β) − m(β₀)‖²) + w_shading ‖s(β)‖²

over the visible vertices, where I is the photograph without what is finer than they lie, β₀ and γ₀ are the prediction
of the encoder, t is the skin's tone (`SkinTone`), m the mean over the face, and s what skin has of shading
(`shading_of_skin`). How light skin is can be told from many photographs, which an encoder has learned from, and not
from one: so lightness stays as predicted, and hue nearly. What changes slowly over the face is light. The norm is not
squared (ℓ2,1), so that an occluder does not change the color of the rest of the face: see the iteratively reweighted
least squares of `mofa3d.fitting.energy`.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, pad

from mofa3d import harmonics
from mofa3d.camera import inside, sample
from mofa3d.decoder import Decoder
from mofa3d.environment.torch_settings import plain_settings
from mofa3d.fitting.baked_light import shading_of_skin
from mofa3d.fitting.skin_tone import SkinTone
from mofa3d.harmonics import AMBIENT
from mofa3d.semantic_code import SemanticCode

PHOTOMETRIC = 1.92  # w_photo, as in training
REFLECTANCE = 3e-4  # w_β
WHITE = 0.5  # w_white
LIGHT = 0.01  # w_γ
LIGHTNESS, HUE = 100.0, 1.0  # w_tone of the mean over the channels, and of what differs from it
SHADING = 3.0  # w_shading
ROUNDS = 3  # of reflectance, then light
EVERY = 6  # one in so many vertices is compared
BLUR = 1.0  # pixels, the standard deviation over which the photograph is averaged: such vertices lie 3 pixels apart
SMALLEST = 0.02  # color distance: a vertex that fits better than this weighs no more than one that fits so
FEWEST = 100  # compared vertices that must be seen


class ColorFit:
    """Fits reflectance and light of codes to photographs, some milliseconds each.

    w_β is larger than the weight of Eq. 10, so that skin does not take in what belongs to one photograph alone: see
    `mofa3d.evaluation.cross_photo`, which measures it in other photographs of the same person.

    Args:
        decode: of the codes.
        every: one in so many frontal vertices is compared, `EVERY` if ``None``.
        keep_tone: the average lightness of the cheeks and of the face stays as predicted, and nearly their hue.
    """

    @plain_settings()
    def __init__(self, decode: Decoder, every: int | None = None, keep_tone: bool = True) -> None:
        model = decode.model.restrict(decode.model.frontal)
        self.decode = Decoder(model, decode.camera)
        self.chosen = model.frontal.nonzero().flatten()[:: every or EVERY]
        self.mean, self.basis = model.mean_reflectance[self.chosen], model.reflectance_basis[self.chosen]
        self.hold = keep_tone * (_hold(SkinTone(model).basis) + _hold(self.basis.mean(dim=0)))
        self.even = SHADING * _gram(shading_of_skin(model))

    @torch.no_grad()
    def __call__(
        self,
        code: SemanticCode,
        image: Float[Tensor, "B 3 H W"],
        light_only: bool = False,
        together: bool = False,
    ) -> SemanticCode:
        """Codes with the colors of photographs; those of which too little is seen stay as they are.

        Args:
            code: as predicted.
            image: RGB in 0 to 1, of the camera's size.
            light_only: leave the reflectance as it is.
            together: all show one person, who has one reflectance; the tones that are predicted are averaged.
        """
        scene = self.decode(code)
        pixels = scene.pixels[:, self.chosen]
        photo = sample(averaged(image), pixels).transpose(1, 2)
        seen = scene.front_facing[:, self.chosen] & inside(pixels, image)
        share = seen.to(photo.dtype) / seen.sum(dim=1, keepdim=True).clamp_min(1)
        lights = harmonics.basis(scene.normals[:, self.chosen])
        if together:  # what is hardly seen says nothing about the person
            share = share * (seen.sum(dim=1, keepdim=True) >= FEWEST)
            code = code.replace(reflectance=code.reflectance.mean(dim=0, keepdim=True).expand_as(code.reflectance))

        reflectance, illumination = code.reflectance, code.illumination
        for _ in range(ROUNDS):
            irradiance = lights @ illumination + AMBIENT
            if not light_only:
                root = _root_weights(photo - self._skin(reflectance) * irradiance, share)
                reflectance = self._solve_reflectance(photo, irradiance, root, code.reflectance, together)
            skin = self._skin(reflectance)
            root = _root_weights(photo - skin * irradiance, share)
            illumination = _solve_light(photo, skin, lights, root, code.illumination)
        # A code that is not finite must come through, or nobody would notice.
        finite = reflectance.isfinite().all(dim=1) & illumination.isfinite().all(dim=2).all(dim=1)
        enough = (seen.sum(dim=1) >= FEWEST) & finite
        return code.replace(
            reflectance=reflectance.where(enough[:, None] | together, code.reflectance),
            illumination=illumination.where(enough[:, None, None], code.illumination),
        )

    def _skin(self, reflectance: Float[Tensor, "B R"]) -> Float[Tensor, "B S 3"]:
        return self.mean + (self.basis.flatten(0, 1) @ reflectance.T).T.unflatten(1, (-1, 3))

    def _solve_reflectance(
        self,
        photo: Float[Tensor, "B S 3"],
        irradiance: Float[Tensor, "B S 3"],
        root: Float[Tensor, "B S 1"],
        predicted: Float[Tensor, "B R"],
        together: bool,
    ) -> Float[Tensor, "B R"]:
        rows = (self.basis * (root * irradiance)[..., None]).flatten(1, 2)
        known = (root * (photo - self.mean * irradiance)).flatten(1, 2)
        hold = self.hold + REFLECTANCE * torch.eye(rows.shape[2]).to(rows)
        matrix, right = rows.mT @ rows + hold, (rows.mT @ known[..., None])[..., 0] + predicted @ hold
        if together:
            matrix, right = matrix.sum(dim=0).expand_as(matrix), right.sum(dim=0).expand_as(right)
        return solve(matrix + self.even, right[..., None])[..., 0]


def _hold(rows: Float[Tensor, "3 R"]) -> Float[Tensor, "R R"]:
    level = rows.mean(dim=0, keepdim=True)
    return LIGHTNESS * 3 * _gram(level) + HUE * _gram(rows - level)


def _gram(rows: Float[Tensor, "C R"]) -> Float[Tensor, "R R"]:
    return rows.T @ rows


def averaged(image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
    """The image without what is finer than the vertices that are compared: single pixels would stand for many."""
    reach = math.ceil(3 * BLUR)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1).to(image) / BLUR).square())
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
    rows = conv2d(pad(image, (reach, reach, 0, 0), mode="replicate"), kernel, groups=3)
    return conv2d(pad(rows, (0, 0, reach, reach), mode="replicate"), kernel.transpose(2, 3), groups=3)


def _root_weights(residuals: Float[Tensor, "B S 3"], share: Float[Tensor, "B S"]) -> Float[Tensor, "B S 1"]:
    """Roots of the weights with which squares stand for norms."""
    distance = residuals.norm(dim=2).clamp_min(SMALLEST)
    return (PHOTOMETRIC / 2 * share / distance).sqrt()[..., None]


def _solve_light(
    photo: Float[Tensor, "B S 3"],
    skin: Float[Tensor, "B S 3"],
    lights: Float[Tensor, "B S 9"],
    root: Float[Tensor, "B S 1"],
    predicted: Float[Tensor, "B 9 3"],
) -> Float[Tensor, "B 9 3"]:
    known = root * (photo - AMBIENT * skin)
    colored = torch.eye(3).to(skin) - 1 / 3  # from a light's three channels to what is not white of them
    # Unknowns are ordered channel by channel: only the prior on white light brings those together.
    matrix = WHITE * torch.kron(colored, torch.eye(9).to(skin)) + LIGHT * torch.eye(27).to(skin)
    matrix = matrix.repeat(len(photo), 1, 1)
    right = LIGHT * predicted.mT
    for channel in range(3):
        rows = lights * (root * skin[..., channel, None])
        own = slice(9 * channel, 9 * channel + 9)
        matrix[:, own, own] += rows.mT @ rows
        right[:, channel] += (rows.mT @ known[..., channel, None])[..., 0]
    return solve(matrix, right.flatten(1)[..., None])[..., 0].unflatten(1, (3, 9)).mT


def solve(matrix: Float[Tensor, "B D D"], right: Float[Tensor, "B D K"]) -> Float[Tensor, "B D K"]:
    """Solutions of positive definite equations, by Cholesky's factors; no numbers where one of these is none.

    `torch.linalg.solve` factors several matrices at once, one on each thread. After `torch.set_num_threads`, MKL's LU
    of matrices of some hundred rows then waits for threads that do not exist, for ever (seen with PyTorch 2.12 on an
    AMD EPYC with AVX-512).
    """
    factor, _ = torch.linalg.cholesky_ex(matrix)
    return torch.cholesky_solve(right, factor)
