"""What systems say about photographs in which something hides a part (Fig. 12)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import Dataset

from mofa3d.baselines.comparison import Estimate, Measured, measure
from mofa3d.baselines.tables import Row, row_of
from mofa3d.data.augment import encoder_input, occlude
from mofa3d.decoder import Decoder
from mofa3d.scene import Renderer


class OccludedFaces(Dataset):
    """Faces whose ``input`` is the ``image`` with an ellipse of one colour laid over it; the rest is as it was."""

    def __init__(self, dataset: Dataset, seed: int = 0) -> None:
        self.dataset, self.seed = dataset, seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        item = self.dataset[index]
        return {**item, "input": occlude(item["image"], torch.Generator().manual_seed(self.seed + index))}


def looking_at_occluders(estimate: Estimate) -> Estimate:
    """The same system, which sees the occluded ``input``."""
    return lambda batch: estimate({**batch, "image": encoder_input(batch)})


def compare_occluded(
    systems: dict[str, Estimate],
    clear: dict[str, Measured],
    decode: Decoder,
    render: Renderer,
    faces: OccludedFaces,
    indices: list[int],
) -> tuple[list[Row], dict[str, Measured]]:
    """Errors against the photographs without occluders, of codes that were found with them.

    Args:
        systems: name of each, and what says codes.
        clear: what was measured of each system on the same photographs without occluders; of others, nothing is.
        decode, render: the scene in which errors are measured.
        faces, indices: the photographs.

    Returns:
        Rows in which ``clear_photometric`` and ``clear_landmark`` are the errors without occluders, and what was
        measured.
    """
    measured = {
        system: measure(looking_at_occluders(systems[system]), decode, render, faces, indices) for system in clear
    }
    rows = []
    for system, found in measured.items():
        before = row_of(system, clear[system].errors).values
        more = {f"clear_{name}": before[name] for name in ("photometric", "landmark")}
        row = row_of(system, found.errors)
        rows.append(Row(system, {**row.values, **more}, row.images))
    return rows, measured
