"""The systems that make images, opened and measured beside the face model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import default_collate

from mofa3d.baselines.comparison import Estimate
from mofa3d.baselines.learned_decoder import LearnedDecoder
from mofa3d.baselines.pixel_comparison import compare_pixels, redrawn, rendered, require_size
from mofa3d.baselines.pixel_evaluation import Batch, PixelView, Predict, average_image
from mofa3d.baselines.recipe import Faces
from mofa3d.baselines.steps import Outcome
from mofa3d.baselines.systems import open_autoencoder, open_learned_decoder
from mofa3d.baselines.tables import Row
from mofa3d.baselines.trainings import AUTOENCODER, CONV_DECODER, SURROGATE, opened
from mofa3d.decoder import Decoder
from mofa3d.scene import Renderer
from mofa3d.semantic_code import SemanticCode


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
    def on_photographs(self, photos: Faces, indices: list[int]) -> list[Row]:
        """The rows of photographs."""
        average = average_image(photos.dataset, photos.train, self.view)
        starts: dict[str, Callable[[], Predict]] = {
            "average image": lambda: lambda batch: average.expand_as(batch["image"]),
            AUTOENCODER: self._autoencoder,
            f"{CONV_DECODER}, codes of {SURROGATE}": lambda: redrawn(self._needed(SURROGATE), self._decoder()),
            f"face model, codes of {SURROGATE}": lambda: rendered(
                self._needed(SURROGATE), self.whole, self.render, average
            ),
        }
        return compare_pixels(starts, photos.dataset, indices, self.view)

    @torch.no_grad()
    def on_synthetic(self, faces: Faces, indices: list[int]) -> list[Row]:
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
        """What the autoencoder, if there is one, makes of photographs."""
        try:
            network = self._autoencoder()
        except (ValueError, OSError):  # the table has the reason
            return {}
        return {AUTOENCODER: network(self.view(default_collate([photos.dataset[i] for i in indices])))}

    def _needed(self, system: str) -> Estimate:
        if system not in self.ready:
            raise ValueError(f"it takes the codes of {system}, which is not there")
        return self.ready[system]

    def _autoencoder(self) -> Predict:
        network = open_autoencoder(opened(self.outcomes[AUTOENCODER]))
        require_size(network.decoder, self.view.image_size)
        return lambda batch: network(batch["image"])

    def _decoder(self) -> LearnedDecoder:
        network = open_learned_decoder(opened(self.outcomes[CONV_DECODER]))
        require_size(network.decoder, self.view.image_size)
        return network
