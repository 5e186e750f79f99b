"""Random faces of the default model whose lips are closed, and what of a face is seen."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.models.makehuman.learned import known_count
from mofa3d.models.makehuman.lips import INNER, Contact, find_contact
from mofa3d.morphable_model import MorphableModel
from mofa3d.pictures.portraits import turned
from mofa3d.renderers.cpu_rasterizer import rasterize
from mofa3d.semantic_code import SemanticCode

TO_CORNERS = 0.97  # of the way to them, how far lips are told to be closed
TOLERANCE = 0.1  # mm
PRESSED = 0.6  # mm by which closed lips overlap at least


def lips_contact(model: MorphableModel, inner: float = INNER) -> Contact:
    """Where the lips of the average face meet; teeth, and the strip behind the upper lip, are no lips."""
    mean, count = model.mean_shape.double(), known_count()
    skin = model.faces[(model.faces < count).all(dim=1)]
    return find_contact(mean[:count].numpy(), skin.numpy(), model.at_landmarks(mean).numpy(), inner)


def closed_mouths(model: MorphableModel, count: int, seed: int = 1) -> SemanticCode:
    """Identity and expression from N(0, 1), on the condition that lips are pressed together all along, as at rest."""
    mean = model.mean_shape.double()
    contact = lips_contact(model, TO_CORNERS)
    by_shape, by_expression = (
        torch.from_numpy(contact.gap(basis[:, 1].numpy())) for basis in (model.shape_basis, model.expression_basis)
    )
    random = torch.Generator().manual_seed(seed)
    shape = torch.randn(count, model.sizes.shape, generator=random)
    expression = torch.randn(count, model.sizes.expression, generator=random)
    rest = torch.from_numpy(contact.gap(mean[:, 1].numpy())).float()
    gap = shape @ by_shape.T + expression @ by_expression.T + (rest + PRESSED).clamp(min=0)
    gram = by_expression @ by_expression.T + TOLERANCE**2 * torch.eye(len(by_expression))
    expression = expression - torch.linalg.solve(gram, gap.T).T @ by_expression
    return SemanticCode.zeros(count, model.sizes).replace(shape=shape, expression=expression)


def seen_faces(
    model: MorphableModel, codes: SemanticCode, middle: Float[Tensor, "3"], angle: float, size: int, zoom: float
) -> list[Int[Tensor, "pixels"]]:
    """For each face, the triangle at every pixel of a picture around a point that shows one.

    Args:
        model: a whole one.
        codes: the faces.
        middle: the point, mm in model space.
        angle: by which faces are turned, degrees.
        size: of the pictures, pixels.
        zoom: how many times larger faces are than in the default picture of that size.
    """
    decode = Decoder(model, Camera(size, focal=Camera(size).focal * zoom))
    result = []
    for start in range(0, len(codes), 8):
        some = turned(codes[start : start + 8], angle)
        scene = decode(some.replace(translation=middle.expand(len(some), 3)))
        seen = rasterize(scene.pixels, scene.depth, scene.faces, size).pix_to_face[..., 0]
        result += [face[face >= 0] % len(model.faces) for face in seen]
    return result
