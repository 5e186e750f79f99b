"""Predictions of systems for photographs that are partly occluded (Fig. 12)."""

from __future__ import annotations

from mofa3d.data.batches.augment import encoder_input
from mofa3d.decoder import Decoder
from mofa3d.evaluation.comparison.tables import SystemMeans, means_of
from mofa3d.evaluation.estimates import Estimate, Measured, measure
from mofa3d.evaluation.occlusion import OccludedFaces
from mofa3d.scene import Renderer


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
) -> tuple[list[SystemMeans], dict[str, Measured]]:
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
        before = means_of(system, clear[system].errors).values
        more = {f"clear_{name}": before[name] for name in ("photometric", "landmark")}
        row = means_of(system, found.errors)
        rows.append(SystemMeans(system, {**row.values, **more}, row.images))
    return rows, measured
