"""Measure the images that systems make, and make those of a face model comparable with those of networks of pixels."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from mofa3d import pictures
from mofa3d.baselines.comparison import Estimate
from mofa3d.baselines.conv_autoencoder import REDUCTION, ConvDecoder
from mofa3d.baselines.pixel_evaluation import Batch, PixelView, Predict, evaluate_pixels
from mofa3d.baselines.tables import Row, row_of
from mofa3d.decoder import Decoder
from mofa3d.scene import Renderer


@torch.no_grad()
def measure_pixels(
    predict: Predict, dataset: Dataset, indices: Sequence[int], view: PixelView
) -> dict[str, Float[Tensor, "K"]]:
    """Errors and sharpness of the images that a system makes, and the seconds of each; see `evaluate_pixels`."""
    seconds = []

    def timed(batch: Batch) -> Tensor:
        made = []
        for row in range(len(batch["image"])):
            one = {name: value[row : row + 1] for name, value in batch.items()}
            began = time.perf_counter()
            made.append(predict(one))
            seconds.append(time.perf_counter() - began)
        return torch.cat(made)

    return {**evaluate_pixels(timed, dataset, indices, view), "seconds": torch.tensor(seconds)}


def compare_pixels(
    starts: dict[str, Callable[[], Predict]], dataset: Dataset, indices: Sequence[int], view: PixelView
) -> list[Row]:
    """Measure the images of all systems; one that fails gets a row with its reason.

    Args:
        starts: name of each system, and what opens it.
        dataset, indices, view: the photographs.
    """
    rows = []
    for system, start in tqdm(starts.items(), desc="measuring pixels", dynamic_ncols=True):
        try:
            rows.append(row_of(system, measure_pixels(start(), dataset, indices, view)))
        except (ValueError, OSError) as error:  # the other systems are still worth comparing
            rows.append(Row(system, reason=str(error)))
    return rows


def require_size(network: ConvDecoder, size: int) -> None:
    """Raises ValueError if a network makes images of another size than those that are compared."""
    if (side := network.side * REDUCTION) != size:
        raise ValueError(f"its images have {side} px, but {size} are compared; give --image-size {side}")


def rendered(estimate: Estimate, decode: Decoder, render: Renderer, background: Float[Tensor, "3 S S"]) -> Predict:
    """Images that a face model makes, as a network of pixels would have made them.

    What lies behind the face is given, so that nothing is copied from the photograph that is compared with.

    Args:
        estimate: gives the codes, from the crop as it came.
        decode: with the whole model.
        render: a raster backend.
        background: which the face covers.
    """

    def predict(batch: Batch) -> Tensor:
        crop = batch["crop"]
        behind = resized(background[None], crop.shape[-1]).expand_as(crop)
        scene = decode(estimate({**batch, "image": crop}))
        return resized(pictures.overlay(scene, render, behind), batch["image"].shape[-1])

    return predict


def redrawn(estimate: Estimate, network: Callable[[Tensor], Tensor]) -> Predict:
    """Images that a learned decoder makes of the codes that an encoder says.

    Args:
        estimate: gives the codes, from the crop as it came.
        network: code vectors (B, D) to images.
    """
    return lambda batch: network(estimate({**batch, "image": batch["crop"]}).to_vector())


def resized(image: Float[Tensor, "B 3 S S"], size: int) -> Float[Tensor, "B 3 T T"]:
    """The images with another side, without aliasing."""
    if image.shape[-1] == size:
        return image
    return nn.functional.interpolate(image, (size, size), mode="bilinear", antialias=True, align_corners=False)
