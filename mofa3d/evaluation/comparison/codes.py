"""Measure every system on the same photographs: errors, and the time that each photograph takes by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch.utils.data import Dataset
from tqdm import tqdm

from mofa3d.decoder import Decoder
from mofa3d.errors import InputError
from mofa3d.evaluation.comparison.tables import SystemMeans, means_of
from mofa3d.evaluation.estimates import Estimate, Measured, measure
from mofa3d.scene import Renderer


def compare_codes(
    starts: dict[str, Callable[[], Estimate]],
    decode: Decoder,
    render: Renderer,
    sets: Sequence[tuple[Dataset, Sequence[int]]],
) -> tuple[list[list[SystemMeans]], list[dict[str, Measured]], dict[str, Estimate]]:
    """Measure all systems on all sets of images; one that fails gets a row with its reason.

    Args:
        starts: name of each system, and what opens it.
        decode, render: the scene in which errors are measured.
        sets: images, and which of them.

    Returns:
        For each set the rows of its table, and what was measured; and the systems that could be opened.
    """
    rows: list[list[SystemMeans]] = [[] for _ in sets]
    measured: list[dict[str, Measured]] = [{} for _ in sets]
    ready: dict[str, Estimate] = {}
    for system, start in tqdm(starts.items(), desc="measuring codes", dynamic_ncols=True):
        for number, (dataset, indices) in enumerate(sets):
            try:
                if system not in ready:
                    ready[system] = start()
                found = measure(ready[system], decode, render, dataset, indices)
            except (InputError, OSError) as error:  # the other systems are still worth comparing
                rows[number].append(SystemMeans(system, reason=str(error)))
                continue
            measured[number][system] = found
            rows[number].append(means_of(system, found.errors))
    return rows, measured, ready
