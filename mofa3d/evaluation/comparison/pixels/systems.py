"""The systems that make images, opened and measured beside the face model."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate
from tqdm import tqdm

from mofa3d.data.corpus.open import Faces
from mofa3d.decoder import Decoder
from mofa3d.errors import InputError
from mofa3d.evaluation.comparison.networks.conv_autoencoder import REDUCTION, ConvDecoder, LearnedDecoder
from mofa3d.evaluation.comparison.open_systems import open_autoencoder, open_learned_decoder
from mofa3d.evaluation.comparison.pixels.evaluate import PixelView, Predict, average_image, evaluate_pixels
from mofa3d.evaluation.comparison.plan import CONV_AUTOENCODER, CONV_DECODER, SURROGATE, opened
from mofa3d.evaluation.comparison.program_runs import Outcome
from mofa3d.evaluation.comparison.tables import SystemMeans, means_of
from mofa3d.evaluation.estimates import Estimate
from mofa3d.objective import Batch
from mofa3d.pictures import views
from mofa3d.scene import Renderer
from mofa3d.semantic_code import SemanticCode


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
) -> list[SystemMeans]:
    """Measure the images of all systems; one that fails gets a row with its reason.

    Args:
        starts: name of each system, and what opens it.
        dataset, indices, view: the photographs.
    """
    rows = []
    for system, start in tqdm(starts.items(), desc="measuring pixels", dynamic_ncols=True):
        try:
            rows.append(means_of(system, measure_pixels(start(), dataset, indices, view)))
        except (InputError, OSError) as error:  # the other systems are still worth comparing
            rows.append(SystemMeans(system, reason=str(error)))
    return rows


def require_size(network: ConvDecoder, size: int) -> None:
    """Raises InputError if a network makes images of another size than those that are compared."""
    if (side := network.side * REDUCTION) != size:
        raise InputError(f"its images have {side} px, but {size} are compared; give --image-size {side}")


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
        return resized(views.overlay(scene, render, behind), batch["image"].shape[-1])

    return predict


def redrawn(estimate: Estimate, network: Callable[[Tensor], Tensor]) -> Predict:
    """Images that a learned decoder makes of the codes that an encoder predicts.

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


@dataclass(frozen=True)
class PixelSystems:
    """What the trainings of the networks of pixels gave.

    Attributes:
        outcomes: of the trainings.
        ready: the systems that say codes.
        whole: decoder with the whole model.
        render: a raster backend.
        image_size: side of the images that are compared.
    """

    outcomes: dict[str, Outcome]
    ready: dict[str, Estimate]
    whole: Decoder
    render: Renderer
    image_size: int

    @cached_property
    def view(self) -> PixelView:
        """How networks of pixels see photographs."""
        points = self.whole(SemanticCode.zeros(sizes=self.whole.model.sizes)).landmarks[0]
        return PixelView(self.image_size, points, self.whole.camera.image_size)

    @torch.no_grad()
    def on_photographs(self, photos: Faces, indices: list[int]) -> list[SystemMeans]:
        """The rows of photographs."""
        average = average_image(photos.dataset, photos.train, self.view)
        starts: dict[str, Callable[[], Predict]] = {
            "average image": lambda: lambda batch: average.expand_as(batch["image"]),
            CONV_AUTOENCODER: self._conv_autoencoder,
            f"{CONV_DECODER}, codes of {SURROGATE}": lambda: redrawn(self._needed(SURROGATE), self._decoder()),
            f"face model, codes of {SURROGATE}": lambda: rendered(
                self._needed(SURROGATE), self.whole, self.render, average
            ),
        }
        return compare_pixels(starts, photos.dataset, indices, self.view)

    @torch.no_grad()
    def on_synthetic(self, faces: Faces, indices: list[int]) -> list[SystemMeans]:
        """The rows of synthetic faces, from their true codes."""
        average = average_image(faces.dataset, faces.train, self.view)

        def true(batch: Batch) -> SemanticCode:
            return SemanticCode.from_vector(batch["code"], self.whole.model.sizes)

        starts: dict[str, Callable[[], Predict]] = {
            "average image": lambda: lambda batch: average.expand_as(batch["image"]),
            f"{CONV_DECODER}, true codes": lambda: redrawn(true, self._decoder()),
            "face model, true codes": lambda: rendered(true, self.whole, self.render, average),
        }
        return compare_pixels(starts, faces.dataset, indices, self.view)

    @torch.no_grad()
    def drawn(self, photos: Faces, indices: list[int]) -> dict[str, Float[Tensor, "K 3 S S"]]:
        """What the convolutional autoencoder, if there is one, makes of photographs."""
        try:
            network = self._conv_autoencoder()
        except (InputError, OSError):  # the table has the reason
            return {}
        return {CONV_AUTOENCODER: network(self.view(default_collate([photos.dataset[i] for i in indices])))}

    def _needed(self, system: str) -> Estimate:
        if system not in self.ready:
            raise InputError(f"it takes the codes of {system}, which is not there")
        return self.ready[system]

    def _conv_autoencoder(self) -> Predict:
        network = open_autoencoder(opened(self.outcomes[CONV_AUTOENCODER]))
        require_size(network.decoder, self.view.image_size)
        return lambda batch: network(batch["image"])

    def _decoder(self) -> LearnedDecoder:
        network = open_learned_decoder(opened(self.outcomes[CONV_DECODER]))
        require_size(network.decoder, self.view.image_size)
        return network
