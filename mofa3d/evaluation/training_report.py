"""The report of a training: tables of errors before and after, learning curves, pictures and meshes."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset, default_collate

from mofa3d.decoder import Decoder
from mofa3d.evaluation import tables
from mofa3d.evaluation.errors import Encode, group_correlations, group_means
from mofa3d.evaluation.report import Report
from mofa3d.evaluation.tables import COLUMNS, number
from mofa3d.export.meshes import write_mesh
from mofa3d.files.whole_pictures import write_figure, write_picture
from mofa3d.pictures import views
from mofa3d.scene import Renderer
from mofa3d.semantic_code import SemanticCode

CURVES = {
    "photometric_error": "photometric error",
    "landmark_error": "landmark error (px at 240)",
    "area_ratio": "projected area / landmark hull",
}
EXPLANATION = """\
Photometric error: mean color distance over the visible frontal vertices, RGB in 0 to 1. Landmark error: mean distance
of 46 points in pixels of the 240 px crop. Area ratio: convex hull of the model's 46 projected points over that of the
photograph's; below 1 the face has shrunk, which the photometric error alone does not show. Geometric error: point to
point over the frontal face, after the estimated rotation, compensating translation and isotropic scale. Yaw
correlation: of the face's yaw after training with the yaw that the photograph's landmarks say; 0 is a pose that was not
learned.
"""


@dataclass(frozen=True)
class BeforeAndAfter:
    """Errors before and after a training or a fit.

    Attributes:
        groups: which held-out images belong to each row of the table.
        before, after: errors of each held-out image (see `mofa3d.evaluation.errors.evaluate`).
    """

    groups: dict[str, Sequence[bool]]
    before: dict[str, torch.Tensor]
    after: dict[str, torch.Tensor]

    def table(self) -> str:
        """The errors before → after, one row per group, as Markdown."""
        names = [name for name in COLUMNS if name in self.after]
        correlations = self.yaw_correlations()
        before, after = group_means(self.before, self.groups), group_means(self.after, self.groups)
        head = ["held-out images", "number", *(COLUMNS[name][0] for name in names)]
        if correlations:
            head.append("yaw correlation")
        rows = []
        for group in self.groups:
            cells = [
                " → ".join(number(errors[group][name], COLUMNS[name][1]) for errors in (before, after))
                for name in names
            ]
            if correlations:
                cells.append(number(correlations[group], ".2f"))
            rows.append([group, str(after[group]["images"]), *cells])
        return tables.table(head, rows)

    def yaw_correlations(self) -> dict[str, float]:
        """How far each group's yaw follows the photographs' landmarks after training; empty where it is not known."""
        known = "yaw" in self.after and bool(self.after["landmark_yaw"].isfinite().any())
        return group_correlations(self.after["yaw"], self.after["landmark_yaw"], self.groups) if known else {}

    def numbers(self) -> dict[str, dict]:
        """The same for JSON."""
        return {
            "before": group_means(self.before, self.groups),
            "after": group_means(self.after, self.groups),
            "yaw correlation": self.yaw_correlations(),
        }


def training_report(
    title: str,
    facts: dict[str, str],
    training: dict[str, float],
    errors: BeforeAndAfter,
    meshes: Sequence[str] = (),
    **numbers: object,
) -> Report:
    """The report in a folder that holds the pictures ``curves.png`` and ``faces.png``.

    Args:
        title: its headline.
        facts: lines about the run, name and value.
        training: how far it came (see `mofa3d.training.progress.Progress.numbers`).
        errors: of the held-out images.
        meshes: file names.
        numbers: what else the facts say.
    """
    sections = [
        f"## Errors before → after training\n\n{errors.table()}\n\n{EXPLANATION}",
        "## Learning curves\n\n![learning curves](curves.png)",
        f"## Held-out faces\n\n{', '.join(views.COLUMNS)}\n\n![held-out faces](faces.png)",
        "## Meshes\n\n" + "\n".join(f"- [{mesh}]({mesh})" for mesh in meshes),
    ]
    return Report(title, facts, sections, {"training": training, **errors.numbers(), **numbers})


def draw_curves(log: Path, path: Path, curves: dict[str, str] = CURVES) -> None:
    """Draw the learning curves of a ``metrics.jsonl``, smoothed, with the raw values behind.

    Args:
        log: the file.
        path: of the picture.
        curves: which values, and the title of each.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    names = [name for name in curves if any(name in line for line in lines)]
    figure, axes = pyplot.subplots(1, max(len(names), 1), figsize=(5 * max(len(names), 1), 3.5), squeeze=False)
    for axis, name in zip(axes[0], names, strict=False):
        points = np.array([(line["iteration"], line[name]) for line in lines if name in line])
        axis.plot(points[:, 0], points[:, 1], color="tab:blue", alpha=0.25, linewidth=0.8)
        axis.plot(points[:, 0], smoothed(points[:, 1]), color="tab:blue")
        axis.set(title=curves[name], xlabel="iteration")
        axis.grid(alpha=0.3)
    figure.tight_layout()
    write_figure(path, figure)
    pyplot.close(figure)


def smoothed(values: np.ndarray) -> np.ndarray:
    """Running mean over a twentieth of the training."""
    width = max(1, len(values) // 20)
    sums = np.cumsum(np.concatenate([[0.0], values]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - width)
    return (sums[ends] - sums[starts]) / (ends - starts)


@torch.no_grad()
def draw_faces(
    encode: Encode, decode: Decoder, render: Renderer, dataset: Dataset, indices: Sequence[int], path: Path
) -> None:
    """Draw one row per face: photograph, overlay, geometry, reflectance, illumination.

    Args:
        decode: with the whole model.
        render: a raster backend.
    """
    image = default_collate([dataset[i] for i in indices])["image"].to(decode.model.mean_shape.device)
    scene = decode(SemanticCode.from_vector(encode(image), decode.model.sizes))
    rows = views.panels(scene, render, image)
    half = math.ceil(len(rows) / 2)
    blank = np.full_like(rows[:1], 255)
    left, right = rows[:half], np.concatenate([rows[half:], *[blank] * (2 * half - len(rows))])
    sheet = np.concatenate([np.concatenate(list(left)), np.concatenate(list(right))], axis=1)
    write_picture(path, sheet)


@torch.no_grad()
def write_meshes(encode: Encode, decode: Decoder, dataset: Dataset, indices: Sequence[int], out: Path) -> list[str]:
    """Write the faces of a few images as GLB and PLY with their reflectance; returns the file names."""
    names = []
    for position, index in enumerate(indices):
        image = dataset[index]["image"][None].to(decode.model.mean_shape.device)
        scene = decode(SemanticCode.from_vector(encode(image), decode.model.sizes))
        for suffix in (".glb", ".ply"):
            names.append(f"face_{position}{suffix}")
            write_mesh(out / names[-1], decode.model, scene.vertices[0], scene.reflectance[0])
    return names
