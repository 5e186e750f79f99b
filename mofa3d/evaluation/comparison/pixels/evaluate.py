"""Measure and draw what a network of pixels makes of photographs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.data import Dataset

from mofa3d.camera import Camera
from mofa3d.data.batches.in_order import in_order
from mofa3d.data.corpus.split import spread
from mofa3d.decoder import Decoder
from mofa3d.evaluation.comparison.pixels.errors import color_distance, detail, face_region, sharpness
from mofa3d.files.whole_pictures import write_picture
from mofa3d.morphable_model import MorphableModel
from mofa3d.objective import Batch
from mofa3d.pictures.views import to_bytes
from mofa3d.semantic_code import SemanticCode

Predict = Callable[[Batch], Tensor]
BATCH = 16
AVERAGED = 512  # images from which the average is taken


@dataclass(frozen=True)
class PixelView:
    """Photographs as a network of pixels sees them.

    Attributes:
        image_size: S.
        average: (68, 2) projected points of the average face, pixels of the crop.
        crop_size: side of the crops.
    """

    image_size: int
    average: Float[Tensor, "68 2"]
    crop_size: int

    @classmethod
    def of(cls, model: MorphableModel, image_size: int) -> PixelView:
        """Crops of the default camera, with the average face of this model."""
        camera = Camera()
        average = Decoder(model, camera)(SemanticCode.zeros(sizes=model.sizes)).landmarks[0]
        return cls(image_size, average, camera.image_size)

    def __call__(self, batch: Batch) -> Batch:
        """The batch with ``image`` (B, 3, S, S) at the network's size, ``region`` (B, S, S) of the face, and ``crop``.

        The last is the image as it came.
        """
        image, size = batch["image"], (self.image_size, self.image_size)
        if image.shape[-2:] != size:
            image = nn.functional.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)
        region = face_region(batch["landmarks"], batch["confidence"], self.average, self.crop_size, self.image_size)
        return {**batch, "image": image, "region": region, "crop": batch["image"]}


def _batches(dataset: Dataset, indices: Sequence[int], view: PixelView) -> Iterator[Batch]:
    return (view(batch) for batch in in_order(dataset, indices, BATCH))


def average_image(dataset: Dataset, indices: Sequence[int], view: PixelView) -> Float[Tensor, "3 S S"]:
    """Mean of up to `AVERAGED` of the images, evenly spread."""
    chosen = spread(indices, AVERAGED)
    totals = (batch["image"].sum(dim=0) for batch in _batches(dataset, chosen, view))
    return reduce(torch.add, totals) / len(chosen)


@torch.no_grad()
def evaluate_pixels(
    predict: Predict, dataset: Dataset, indices: Sequence[int], view: PixelView
) -> dict[str, Float[Tensor, "K"]]:
    """Error in the face and on the whole crop, and sharpness and detail in the face, of each image.

    Args:
        predict: images (B, 3, S, S) for what `view` gives.
        dataset, indices, view: the photographs.
    """
    parts: dict[str, list[Tensor]] = {"face": [], "crop": [], "sharpness": [], "detail": []}
    for batch in _batches(dataset, indices, view):
        made, photo, region = predict(batch), batch["image"], batch["region"]
        parts["face"].append(color_distance(made, photo, region))
        parts["crop"].append(color_distance(made, photo, torch.ones_like(region)))
        parts["sharpness"].append(sharpness(made, photo, region))
        parts["detail"].append(detail(made, photo, region))
    return {name: torch.cat(values) for name, values in parts.items()}


@torch.no_grad()
def draw_pixels(predict: Predict, dataset: Dataset, indices: Sequence[int], view: PixelView, path: Path) -> None:
    """Draw the photographs of a few faces, what the network makes of each below it, and that within the face only."""
    parts = []
    for batch in _batches(dataset, indices, view):
        made, region = predict(batch), batch["region"][:, None]
        rows = (batch["image"], made, made * region + batch["image"] * (1 - region))
        parts.append(to_bytes(torch.cat(rows, dim=2)))
    strip = np.concatenate(list(np.concatenate(parts)), axis=1)
    write_picture(path, strip)
