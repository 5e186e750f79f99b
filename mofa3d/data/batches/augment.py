"""Random changes to training photographs that keep their landmarks true."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mofa3d.numeric_options import check_ranges

# Where each iBUG point goes when a face is mirrored.
MIRRORED_68 = (
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31,
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
)  # fmt: skip
NUMBERS = 19  # random ones that an item takes at most
OCCLUDER_SIZE = (0.1, 0.3)  # radius over the image's width, least and most


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes to training photographs; by default they are only mirrored.

    Attributes:
        mirror: share of photographs that is mirrored.
        shift: largest shift to either side and up or down, in pixels.
        scale: largest change of size; 0.1 is 10 percent.
        rotation: largest rotation in the image plane, in degrees.
        color: largest change of brightness, contrast and each channel; 0.1 is 10 percent.
        occluders: share of which the encoder sees a version with a blob of one color laid over it; the losses compare
            with the photograph as it was.
    """

    mirror: float = 0.5
    shift: float = 0.0
    scale: float = 0.0
    rotation: float = 0.0
    color: float = 0.0
    occluders: float = 0.0

    def __post_init__(self) -> None:
        shares = dict.fromkeys(("mirror", "occluders", "color"), (0, 1))
        check_ranges(self, **shares, shift=(0, 10_000), scale=(0, 10), rotation=(0, 360))

    @property
    def moves(self) -> bool:
        """Whether faces are shifted, scaled or turned."""
        return bool(self.shift or self.scale or self.rotation)


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


def augment(
    batch: dict[str, Tensor], config: AugmentConfig, generator: torch.Generator, rank: int = 0, processes: int = 1
) -> dict[str, Tensor]:
    """Change the items of a batch at random.

    Args:
        batch: ``image`` (B, 3, H, W) in 0 to 1, ``landmarks`` (B, 68, 2) px and ``confidence`` (B, 68), on one device,
            and what else it has. A true ``code`` would no longer fit what was moved, and is dropped then. What
            `mofa3d.data.corpus.targets` adds goes along; of ``geometry`` (B, 2, G) the one that fits is left, (B, G).
        config: how much.
        generator: of the CPU, decides; the same state gives the same changes on every device.
        rank, processes: which part of a larger batch this is, and of how many; as if the whole were changed at once.

    Returns:
        The changed batch; with occluders, ``input`` (B, 3, H, W) is what the encoder is to see instead of ``image``.
    """
    count, _, height, width = batch["image"].shape
    changes = draw_changes(config, count * processes, (width, height), generator, batch["image"].device)
    if processes > 1:
        rows = slice(rank * count, (rank + 1) * count)
        changes = Changes(**{field.name: getattr(changes, field.name)[rows] for field in fields(changes)})
    return apply_changes(batch, changes, config)


def encoder_input(batch: dict[str, Tensor]) -> Tensor:
    """What an encoder is to see of items: their ``input`` if they have one, else the ``image`` that losses compare."""
    return batch.get("input", batch["image"])


def draw_changes(
    config: AugmentConfig,
    count: int,
    size: tuple[int, int],
    generator: torch.Generator,
    device: torch.device | str = "cpu",
) -> Changes:
    """Changes, on a device, for some items with images of a size (width, height) in pixels."""
    numbers = iter(torch.rand(count * NUMBERS, generator=generator, dtype=torch.float32).tolist())
    random = torch.tensor([_draw_item(config, numbers) for _ in range(count)], device=device, dtype=torch.float32)
    signed = 2 * random - 1
    return Changes(
        mirrored=random[:, 0] < config.mirror,
        shift=config.shift * signed[:, 1:3],
        angle=math.radians(config.rotation) * signed[:, 3],
        scale=(1 + config.scale) ** signed[:, 4],
        gain=1 + config.color * signed[:, 5, None] + config.color / 2 * signed[:, 6:9],
        contrast=1 + config.color * signed[:, 9],
        occluded=random[:, 10] < config.occluders,
        **_ellipses(random[:, 11:19], size),
    )


def _ellipses(random: Float[Tensor, "B 8"], size: tuple[int, int]) -> dict[str, Tensor]:
    least, most = (size[0] * share for share in OCCLUDER_SIZE)
    radius = least + (most - least) * random[:, 2]
    return {
        "center": random[:, :2] * random.new_tensor(size),
        "radii": torch.stack([radius, radius * (0.4 + 0.6 * random[:, 3])], dim=1),
        "turn": math.pi * random[:, 4],
        "color": random[:, 5:],
    }


def occlude(image: Float[Tensor, "3 H W"], generator: torch.Generator) -> Float[Tensor, "3 H W"]:
    """Lay an ellipse of one color over an image."""
    height, width = image.shape[-2:]
    random = torch.rand(1, 8, generator=generator, dtype=torch.float32).to(image)
    occluded = torch.ones(1, dtype=torch.bool, device=image.device)
    return _occlude(image[None], occluded, **_ellipses(random, (width, height)))[0]


def _draw_item(config: AugmentConfig, numbers: Iterator[float]) -> list[float]:
    """`NUMBERS` for one item, in 0 to 1; 0.5 for what does not happen, which takes none."""

    def take(count: int, wanted: bool) -> list[float]:
        return [next(numbers) for _ in range(count)] if wanted else [0.5] * count

    drawn = [*take(1, True), *take(4, config.moves), *take(5, bool(config.color)), *take(1, bool(config.occluders))]
    return [*drawn, *take(8, drawn[-1] < config.occluders)]


def apply_changes(batch: dict[str, Tensor], changes: Changes, config: AugmentConfig) -> dict[str, Tensor]:
    """The changed batch; `config` says which kinds of changes there are at all."""
    image, landmarks, confidence = _mirror(batch, changes.mirrored)
    targets = _mirror_targets(batch, changes.mirrored) if "dense" in batch else {}
    if config.moves:
        image = _move(image, changes)
        landmarks = _move_points(landmarks, image, changes)
        if targets:
            targets["dense"] = _move_points(targets["dense"], image, changes)
    if config.color:
        contrast, gain = changes.contrast.view(-1, 1, 1, 1), changes.gain[..., None, None]
        image = (((image - 0.5) * contrast + 0.5) * gain).clamp(0, 1)
    changed = {**batch, **targets, "image": image, "landmarks": landmarks, "confidence": confidence}
    if "code" in batch and (config.moves or changes.mirrored.any()):
        del changed["code"]
    if config.occluders:
        ellipses = (changes.center, changes.radii, changes.turn, changes.color)
        changed["input"] = _occlude(image, changes.occluded, *ellipses)
    return changed


def _mirror(batch: dict[str, Tensor], mirrored: Bool[Tensor, "B"]) -> tuple[Tensor, Tensor, Tensor]:
    image, landmarks, confidence = batch["image"], batch["landmarks"], batch["confidence"]
    order = list(MIRRORED_68)
    across = image.shape[-1] - landmarks[:, order, :1]
    points = torch.cat([across, landmarks[:, order, 1:]], dim=2)
    return (
        torch.where(mirrored.view(-1, 1, 1, 1), image.flip(-1), image),
        torch.where(mirrored.view(-1, 1, 1), points, landmarks),
        torch.where(mirrored[:, None], confidence[:, order], confidence),
    )


def _mirror_targets(batch: dict[str, Tensor], mirrored: Bool[Tensor, "B"]) -> dict[str, Tensor]:
    dense, order = batch["dense"], batch["dense_mirrored"][0]
    across = batch["image"].shape[-1] - dense[:, order, :1]
    points = torch.cat([across, dense[:, order, 1:]], dim=2)
    return {
        "dense": torch.where(mirrored.view(-1, 1, 1), points, dense),
        "geometry": torch.where(mirrored[:, None], batch["geometry"][:, 1], batch["geometry"][:, 0]),
    }


def _move(image: Float[Tensor, "B 3 H W"], changes: Changes) -> Float[Tensor, "B 3 H W"]:
    size = image.new_tensor([image.shape[-1], image.shape[-2]])
    backward = torch.linalg.inv(_forward(changes))
    # `affine_grid` counts in halves of the image, which need not be square.
    linear = backward * size / size[:, None]
    offset = -(backward @ changes.shift[..., None]) * 2 / size[:, None]
    grid = nn.functional.affine_grid(torch.cat([linear, offset], dim=2), list(image.shape), align_corners=False)
    return nn.functional.grid_sample(image, grid, padding_mode="border", align_corners=False)


def _move_points(
    points: Float[Tensor, "B L 2"], image: Float[Tensor, "B 3 H W"], changes: Changes
) -> Float[Tensor, "B L 2"]:
    size = image.new_tensor([image.shape[-1], image.shape[-2]])
    return (points - size / 2) @ _forward(changes).mT + size / 2 + changes.shift[:, None]


def _forward(changes: Changes) -> Float[Tensor, "B 2 2"]:
    return changes.scale.view(-1, 1, 1) * _rotation(changes.angle)


def _occlude(
    image: Float[Tensor, "B 3 H W"],
    occluded: Bool[Tensor, "B"],
    center: Float[Tensor, "B 2"],
    radii: Float[Tensor, "B 2"],
    turn: Float[Tensor, "B"],
    color: Float[Tensor, "B 3"],
) -> Float[Tensor, "B 3 H W"]:
    height, width = image.shape[-2:]
    rows, columns = (torch.arange(n, dtype=image.dtype, device=image.device) + 0.5 for n in (height, width))
    pixels = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1).view(1, -1, 2)
    # Its transpose has the axes as rows.
    axes = _rotation(turn).mT
    offset = (pixels - center[:, None]) @ axes.mT / radii[:, None]
    within = (offset.square().sum(dim=-1) < 1) & occluded[:, None]
    return torch.where(within.view(-1, 1, height, width), color[..., None, None], image)


def _rotation(angle: Float[Tensor, "B"]) -> Float[Tensor, "B 2 2"]:
    cosine, sine = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cosine, -sine], dim=1), torch.stack([sine, cosine], dim=1)], dim=1)
