"""The compared systems against scans, a row each."""

from __future__ import annotations

from collections.abc import Callable

from mofa3d.decoder import Decoder
from mofa3d.errors import InputError
from mofa3d.evaluation.comparison.tables import Columns, SystemMeans, means_of
from mofa3d.evaluation.estimates import Estimate
from mofa3d.evaluation.scans.errors import ScanSet, measure_scans, predicted

COLUMNS: Columns = {
    "median": ("median distance (mm)", ".2f"),
    "mean": ("mean (mm)", ".2f"),
    "std": ("deviation (mm)", ".2f"),
    "own size, median": ("median at its own size (mm)", ".2f"),
}
EXPLANATION = """\
Distance from each point of a scan's face to the nearest point of the reconstruction, after the best rotation,
translation and scale (the NoW challenge's protocol); "at its own size" is without the scale. Median, mean and deviation
over the points of a photograph, averaged over the photographs."""


def compare_scans(
    starts: dict[str, Callable[[], Estimate]], decode: Decoder, scans: ScanSet, landmarks: bool
) -> list[SystemMeans]:
    """A row for each system, with the measures of `COLUMNS`; one that fails gets a row with its reason.

    Args:
        starts: name of each system, and what opens it.
        decode: with the whole model, of whose codes the systems speak.
        scans: what to compare with.
        landmarks: see `predicted`.
    """
    rows = []
    for system, start in starts.items():
        try:
            found = measure_scans(predicted(start(), decode, landmarks), scans, system)
            rows.append(means_of(system, found.errors))
        except (InputError, OSError) as error:  # the other systems are still worth comparing
            rows.append(SystemMeans(system, reason=str(error)))
    return rows
