"""Held-out faces with a synthetic occluder over them."""

from __future__ import annotations

from collections.abc import Sized
from typing import cast

import torch
from torch import Tensor
from torch.utils.data import Dataset

from mofa3d.data.batches.augment import occlude


class OccludedFaces(Dataset):
    """Faces whose ``input`` is the ``image`` with an ellipse of one color over it; everything else is unchanged."""

    def __init__(self, dataset: Dataset, seed: int = 0) -> None:
        self.dataset, self.seed = dataset, seed

    def __len__(self) -> int:
        return len(cast(Sized, self.dataset))

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        item = self.dataset[index]
        return {**item, "input": occlude(item["image"], torch.Generator().manual_seed(self.seed + index))}
