"""Pictures of faces as dlib cuts them out for recognition: upright, 150 pixels wide, with the face where all faces are.

They are those of dlib's ``get_face_chip`` with size 150 and padding 0.25 (dlib/image_transforms/interpolation.h), from
the 68 points of a face, of which brows, jaw and lower lip say nothing: they move with expressions.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

SIZE, PADDING = 150, 0.25
# Of the 68 points those that count, and where they lie in dlib's average face, in units of its square.
USED = (*range(27, 55), *range(60, 65))
# fmt: off
AVERAGE_X = (
    0.490127, 0.490127, 0.490127, 0.490127, 0.36688, 0.426036, 0.490127, 0.554217, 0.613373, 0.121737, 0.187122,
    0.265825, 0.334606, 0.260918, 0.182743, 0.645647, 0.714428, 0.793132, 0.858516, 0.79751, 0.719335, 0.254149,
    0.340985, 0.428858, 0.490127, 0.551395, 0.639268, 0.726104, 0.290379, 0.428096, 0.490127, 0.552157, 0.689874,
)
AVERAGE_Y = (
    0.203352, 0.307009, 0.409805, 0.515625, 0.587326, 0.609345, 0.628106, 0.609345, 0.587326, 0.216423, 0.178758,
    0.179852, 0.231733, 0.245099, 0.244077, 0.231733, 0.179852, 0.178758, 0.216423, 0.244077, 0.245099, 0.780233,
    0.745405, 0.727388, 0.742578, 0.727388, 0.745405, 0.780233, 0.784792, 0.778746, 0.785343, 0.778746, 0.784792,
)
# fmt: on


def face_chips(
    image: Float[Tensor, "B 3 H W"], landmarks: Float[Tensor, "B 68 2"], size: int = SIZE
) -> Float[Tensor, "B 3 size size"]:
    """Cut faces out of pictures; black where a picture ends, and differentiable in its colors.

    Pixels are interpolated between four of the picture, so it should show the face at most twice as large.

    Args:
        image: RGB in 0 to 1.
        landmarks: iBUG's points, pixels from the top-left corner, the first center at (0.5, 0.5).
        size: side of the result in pixels.
    """
    turn, middle = _to_image(landmarks.double(), size)
    # dlib lays the middles of the outer pixels on the corners of a rectangle that is a pixel of the picture smaller.
    scale = turn.norm(dim=-1, keepdim=True).clamp(min=1e-9)  # 0 where all points are one
    turn = turn * ((size * scale - 1) / ((size - 1) * scale))
    steps = torch.arange(size, dtype=turn.dtype, device=turn.device) - (size - 1) / 2
    x, y = steps[None, None, :], steps[None, :, None]
    cosine, sine = turn[:, 0, None, None], turn[:, 1, None, None]
    column = middle[:, 0, None, None] + cosine * x - sine * y
    row = middle[:, 1, None, None] + sine * x + cosine * y
    height, width = image.shape[-2:]
    grid = torch.stack([2 * column / width - 1, 2 * row / height - 1], dim=-1).to(image.dtype)
    return functional.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _to_image(landmarks: Float[Tensor, "B 68 2"], size: int) -> tuple[Float[Tensor, "B 2"], Float[Tensor, "B 2"]]:
    """From chips to pictures by least squares: cosine and sine times the scale, and where the chip's middle lies."""
    average = torch.tensor([AVERAGE_X, AVERAGE_Y], dtype=landmarks.dtype, device=landmarks.device).T
    chip = size * (PADDING + average) / (2 * PADDING + 1)
    points = landmarks[:, list(USED)]
    center, goal = chip.mean(dim=0), points.mean(dim=1)
    a, b = chip - center, points - goal[:, None]
    along = (a * b).sum(dim=(1, 2))
    across = (a[:, 0] * b[..., 1] - a[:, 1] * b[..., 0]).sum(dim=1)
    turn = torch.stack([along, across], dim=1) / a.square().sum()
    cosine, sine = turn.unbind(dim=1)
    x, y = (size / 2 - center).unbind()
    middle = goal + torch.stack([cosine * x - sine * y, sine * x + cosine * y], dim=1)
    return turn, middle
