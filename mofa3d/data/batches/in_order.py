"""Items of a dataset in batches, one after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import Dataset, default_collate
from tqdm import tqdm


def in_order(
    dataset: Dataset, indices: Sequence[int] | Int[np.ndarray, "K"], size: int, label: str = ""
) -> Iterator[dict[str, Tensor]]:
    """The items with these numbers, in batches of `size`, of which the last may be smaller.

    Args:
        dataset: its items are dictionaries of tensors.
        indices: numbers of the items.
        size: of the batches.
        label: of a progress bar; without one, there is none.
    """
    starts = range(0, len(indices), size)
    for start in tqdm(starts, desc=label, dynamic_ncols=True, disable=not label):
        yield default_collate([dataset[int(i)] for i in indices[start : start + size]])
