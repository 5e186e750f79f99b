"""Pictures of a comparison: learning curves, distributions of errors, and faces side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa3d.decoder import Decoder
from mofa3d.evaluation.comparison.pixels.systems import resized
from mofa3d.evaluation.tables import COLUMNS
from mofa3d.evaluation.training_report import CURVES, smoothed
from mofa3d.files.whole_pictures import write_figure, write_picture
from mofa3d.pictures import views
from mofa3d.pictures.contact_sheet import Row, draw_sheet
from mofa3d.scene import Renderer
from mofa3d.semantic_code import SemanticCode

DISTRIBUTIONS = ("photometric", "landmark")


def draw_learning(logs: dict[str, Path], path: Path) -> None:
    """Draw the smoothed curves of several trainings over each other (Fig. 9).

    Args:
        logs: name of each training, and its ``metrics.jsonl``.
        path: of the picture.
    """
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(1, len(CURVES), figsize=(5 * len(CURVES), 3.5))
    for name, log in logs.items():
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        for axis, curve in zip(axes, CURVES, strict=True):
            points = np.array([(line["iteration"], line[curve]) for line in lines if curve in line]).reshape(-1, 2)
            if len(points):
                axis.plot(points[:, 0], smoothed(points[:, 1]), label=name)
    for axis, title in zip(axes, CURVES.values(), strict=True):
        axis.set(title=title, xlabel="iteration")
        axis.grid(alpha=0.3)
    if axes[0].lines:
        axes[0].legend(fontsize=8)
    _save(figure, path)


def draw_distributions(systems: dict[str, dict[str, Tensor]], path: Path) -> None:
    """Draw which share of the photographs has at most a certain error.

    Args:
        systems: name of each, and its errors.
        path: of the picture.
    """
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(1, len(DISTRIBUTIONS), figsize=(6 * len(DISTRIBUTIONS), 4))
    for axis, measure in zip(axes, DISTRIBUTIONS, strict=True):
        ends = []
        for name, errors in systems.items():
            values, share = cumulative(errors[measure])
            if len(values):
                axis.plot(values, share, label=name)
                ends.append(float(np.quantile(values, 0.95)))
        axis.set(xlabel=COLUMNS[measure][0], ylabel="share of the photographs", ylim=(0, 1))
        axis.set_xlim(0, 1.1 * float(np.median(ends)) if ends else 1)  # far outliers would press the rest together
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=7, loc="lower right")
    _save(figure, path)


def cumulative(errors: Float[Tensor, "K"]) -> tuple[Float[np.ndarray, "J"], Float[np.ndarray, "J"]]:
    """The finite errors from the smallest, and the share of them that is no larger."""
    values = np.sort(errors[errors.isfinite()].double().numpy())
    return values, np.arange(1, len(values) + 1) / max(len(values), 1)


@torch.no_grad()
def draw_systems(
    codes: dict[str, Float[Tensor, "K D"]],
    images: dict[str, Float[Tensor, "K 3 S S"]],
    photos: Float[Tensor, "K 3 H W"],
    decode: Decoder,
    render: Renderer,
    path: Path,
) -> None:
    """Draw a row for each photograph: the photograph, then each system's face over it.

    Args:
        codes: name of each system with a face model, and its codes.
        images: of systems without one, what they made of the photographs; they are the last columns.
        photos: the photographs.
        decode: with the whole model.
        render: a raster backend.
        path: of the picture.
    """
    columns = [photos]
    for vectors in codes.values():
        columns.append(views.overlay(decode(SemanticCode.from_vector(vectors, decode.model.sizes)), render, photos))
    columns += [resized(made, photos.shape[-1]) for made in images.values()]
    faces = np.stack([views.to_bytes(column) for column in columns], axis=1)  # (K, columns, H, W, 3)
    write_picture(path, sheet_of(["photograph", *codes, *images], faces))


def sheet_of(names: Sequence[str], faces: UInt8[np.ndarray, "K C H W 3"]) -> UInt8[np.ndarray, "Y X 3"]:
    """A column below each name."""
    columns = [
        draw_sheet([Row(name, faces[:1, number])] + [Row("", face[None, number]) for face in faces[1:]])
        for number, name in enumerate(names)
    ]
    return np.concatenate(columns, axis=1)


def _pyplot():
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _save(figure, path: Path) -> None:
    figure.tight_layout()
    write_figure(path, figure)
    _pyplot().close(figure)
