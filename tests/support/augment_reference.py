"""What `mofa3d.data.batches.augment` does to a batch, for one item at a time: slower, and easier to read."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mofa3d.data.batches.augment import MIRRORED_68, OCCLUDER_SIZE, AugmentConfig

Item = dict[str, Tensor]


def augment(item: Item, config: AugmentConfig, generator: torch.Generator) -> Item:
    """Change an item at random.

    Args:
        item: ``image`` (3, H, W) in 0 to 1, ``landmarks`` (68, 2) px, ``confidence`` (68,). A true ``code`` would no
            longer fit what was moved, and is dropped then.
        config: how much.
        generator: decides; the same state gives the same change.

    Returns:
        The changed item; with occluders, ``input`` (3, H, W) is what the encoder is to see instead of ``image``.
    """

    def uniform(limit: float = 1.0) -> float:
        return limit * float(2 * torch.rand((), generator=generator, dtype=torch.float32) - 1)

    def happens(share: float) -> bool:
        return float(torch.rand((), generator=generator, dtype=torch.float32)) < share

    image, landmarks, confidence = item["image"], item["landmarks"], item["confidence"]
    moved = happens(config.mirror)
    if moved:
        image, landmarks, confidence = mirror(image, landmarks, confidence)
    if config.shift or config.scale or config.rotation:
        moved = True
        shift = (uniform(config.shift), uniform(config.shift))
        angle, scale = math.radians(uniform(config.rotation)), (1 + config.scale) ** uniform()
        image, landmarks = move(image, landmarks, shift, scale, angle)
    if config.color:
        gain = 1 + uniform(config.color)
        gain = gain + image.new_tensor([uniform(config.color / 2) for _ in range(3)])
        contrast = 1 + uniform(config.color)
        image = (((image - 0.5) * contrast + 0.5) * gain.view(3, 1, 1)).clamp(0, 1)
    kept = {name: value for name, value in item.items() if not (moved and name == "code")}
    if config.occluders:
        kept["input"] = occlude(image, generator) if happens(config.occluders) else image
    return {**kept, "image": image, "landmarks": landmarks, "confidence": confidence}


def mirror(
    image: Float[Tensor, "3 H W"], landmarks: Float[Tensor, "68 2"], confidence: Float[Tensor, "68"]
) -> tuple[Float[Tensor, "3 H W"], Float[Tensor, "68 2"], Float[Tensor, "68"]]:
    """The mirror image, with its points (pixels) renumbered so that left stays left."""
    order = list(MIRRORED_68)
    mirrored = landmarks[order].clone()
    mirrored[:, 0] = image.shape[-1] - mirrored[:, 0]
    return image.flip(-1), mirrored, confidence[order]


def move(
    image: Float[Tensor, "3 H W"],
    landmarks: Float[Tensor, "P 2"],
    shift: tuple[float, float],
    scale: float,
    angle: float,
) -> tuple[Float[Tensor, "3 H W"], Float[Tensor, "P 2"]]:
    """Enlarge and turn (radians, clockwise as seen) about the middle, then shift (pixels); the border is repeated."""
    size = image.new_tensor([image.shape[-1], image.shape[-2]])
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    forward = image.new_tensor([[cosine, -sine], [sine, cosine]])  # y points down
    offset = image.new_tensor(shift)
    points = (landmarks - size / 2) @ forward.T + size / 2 + offset
    y, x = (torch.arange(n, dtype=image.dtype) + 0.5 for n in image.shape[-2:])
    target = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    source = (target - size / 2 - offset) @ torch.linalg.inv(forward).T
    grid = (2 * source / size)[None]
    return nn.functional.grid_sample(image[None], grid, padding_mode="border", align_corners=False)[0], points


def occlude(image: Float[Tensor, "3 H W"], generator: torch.Generator) -> Float[Tensor, "3 H W"]:
    """Lay an ellipse of one color over the image."""
    height, width = image.shape[-2:]
    x, y, long, round_, turn, *color = torch.rand(8, generator=generator, dtype=torch.float32).tolist()
    least, most = OCCLUDER_SIZE
    radius = width * (least + (most - least) * long)
    radii = image.new_tensor([radius, radius * (0.4 + 0.6 * round_)])
    angle = math.pi * turn
    axes = image.new_tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    rows, columns = (torch.arange(n, dtype=image.dtype) + 0.5 for n in (height, width))
    pixels = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)
    offset = (pixels - image.new_tensor([x * width, y * height])) @ axes.T / radii
    return torch.where(offset.square().sum(dim=-1) < 1, image.new_tensor(color[:3]).view(3, 1, 1), image)
