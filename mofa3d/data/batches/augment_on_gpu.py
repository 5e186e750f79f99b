"""`mofa3d.data.batches.augment` for whole batches on one device, so that a GPU need not wait for changes one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mofa3d.data.batches.augment import MIRRORED_68, OCCLUDER_SIZE, AugmentConfig, Item
from mofa3d.errors import InputError


@dataclass(frozen=True)
class Changes:
    """What happens to each item of a batch, in this order.

    Attributes:
        mirrored: which ones.
        shift: pixels to the right and down.
        scale: factor.
        angle: radians, clockwise as seen.
        contrast, gain: factors, the latter for each channel.
        occluded: which ones.
        center, radii: of the occluding ellipse, pixels.
        turn: of its axes, radians.
        color: of the ellipse.
    """

    mirrored: Bool[Tensor, "B"]
    shift: Float[Tensor, "B 2"]
    scale: Float[Tensor, "B"]
    angle: Float[Tensor, "B"]
    contrast: Float[Tensor, "B"]
    gain: Float[Tensor, "B 3"]
    occluded: Bool[Tensor, "B"]
    center: Float[Tensor, "B 2"]
    radii: Float[Tensor, "B 2"]
    turn: Float[Tensor, "B"]
    color: Float[Tensor, "B 3"]


def augment_batch(batch: Item, config: AugmentConfig, generator: torch.Generator) -> Item:
    """Change the items of a batch at random, as `augment` does, but with other random numbers.

    Args:
        batch: ``image`` (B, 3, H, W), ``landmarks`` (B, 68, 2) px and ``confidence`` (B, 68), and what else it has; no
            true ``code``, which would no longer fit.
        config: how much.
        generator: of the batch's device.

    Raises:
        InputError: the batch has true codes.
    """
    if "code" in batch:
        raise InputError("a batch with true codes cannot be changed; leave them out, or change items one by one")
    count, _, height, width = batch["image"].shape
    return apply_changes(batch, draw_changes(config, count, (width, height), generator), config)


def draw_changes(config: AugmentConfig, count: int, size: tuple[int, int], generator: torch.Generator) -> Changes:
    """Changes for some items with images of a size (width, height) in pixels."""
    random = torch.rand(count, 20, generator=generator, device=generator.device, dtype=torch.float32)
    signed = 2 * random - 1
    least, most = (size[0] * share for share in OCCLUDER_SIZE)
    radius = least + (most - least) * random[:, 11]
    return Changes(
        mirrored=random[:, 0] < config.mirror,
        shift=config.shift * signed[:, 1:3],
        scale=(1 + config.scale) ** signed[:, 3],
        angle=math.radians(config.rotation) * signed[:, 4],
        contrast=1 + config.color * signed[:, 5],
        gain=1 + config.color * signed[:, 6, None] + config.color / 2 * signed[:, 7:10],
        occluded=random[:, 10] < config.occluders,
        center=random[:, 13:15] * random.new_tensor(size),
        radii=torch.stack([radius, radius * (0.4 + 0.6 * random[:, 12])], dim=1),
        turn=math.pi * random[:, 15],
        color=random[:, 16:19],
    )


def apply_changes(batch: Item, changes: Changes, config: AugmentConfig) -> Item:
    """The changed batch; `config` says which kinds of changes there are at all."""
    image, landmarks, confidence = _mirror(batch, changes.mirrored)
    if config.shift or config.scale or config.rotation:
        image, landmarks = _move(image, landmarks, changes)
    if config.color:
        contrast, gain = changes.contrast.view(-1, 1, 1, 1), changes.gain[..., None, None]
        image = (((image - 0.5) * contrast + 0.5) * gain).clamp(0, 1)
    changed = {**batch, "image": image, "landmarks": landmarks, "confidence": confidence}
    if config.occluders:
        changed["input"] = _occlude(image, changes)
    return changed


def _mirror(batch: Item, mirrored: Bool[Tensor, "B"]) -> tuple[Tensor, Tensor, Tensor]:
    image, landmarks, confidence = batch["image"], batch["landmarks"], batch["confidence"]
    order = list(MIRRORED_68)
    across = image.shape[-1] - landmarks[:, order, :1]
    points = torch.cat([across, landmarks[:, order, 1:]], dim=2)
    return (
        torch.where(mirrored.view(-1, 1, 1, 1), image.flip(-1), image),
        torch.where(mirrored.view(-1, 1, 1), points, landmarks),
        torch.where(mirrored[:, None], confidence[:, order], confidence),
    )


def _move(
    image: Float[Tensor, "B 3 H W"], landmarks: Float[Tensor, "B 68 2"], changes: Changes
) -> tuple[Tensor, Tensor]:
    size = image.new_tensor([image.shape[-1], image.shape[-2]])
    forward = changes.scale.view(-1, 1, 1) * _rotation(changes.angle)
    points = (landmarks - size / 2) @ forward.mT + size / 2 + changes.shift[:, None]
    backward = torch.linalg.inv(forward)
    # `affine_grid` counts in halves of the image, which need not be square.
    linear = backward * size / size[:, None]
    offset = -(backward @ changes.shift[..., None]) * 2 / size[:, None]
    grid = nn.functional.affine_grid(torch.cat([linear, offset], dim=2), list(image.shape), align_corners=False)
    return nn.functional.grid_sample(image, grid, padding_mode="border", align_corners=False), points


def _occlude(image: Float[Tensor, "B 3 H W"], changes: Changes) -> Float[Tensor, "B 3 H W"]:
    height, width = image.shape[-2:]
    rows, columns = (torch.arange(n, dtype=image.dtype, device=image.device) + 0.5 for n in (height, width))
    pixels = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1).view(1, -1, 2)
    # Its transpose has the axes as rows.
    axes = _rotation(changes.turn).mT
    offset = (pixels - changes.center[:, None]) @ axes.mT / changes.radii[:, None]
    within = (offset.square().sum(dim=-1) < 1) & changes.occluded[:, None]
    return torch.where(within.view(-1, 1, height, width), changes.color[..., None, None], image)


def _rotation(angle: Float[Tensor, "B"]) -> Float[Tensor, "B 2 2"]:
    cosine, sine = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cosine, -sine], dim=1), torch.stack([sine, cosine], dim=1)], dim=1)
