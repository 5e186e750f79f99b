"""The report on a network that makes images: errors and sharpness against the average image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from mofa3d.data.corpus.open import Faces
from mofa3d.data.corpus.split import spread
from mofa3d.evaluation import tables
from mofa3d.evaluation.comparison.pixels.evaluate import (
    PixelView,
    Predict,
    average_image,
    draw_pixels,
    evaluate_pixels,
)
from mofa3d.evaluation.errors import group_means
from mofa3d.evaluation.report import Report
from mofa3d.evaluation.training_report import draw_curves

SHOWN = 8  # held-out faces in the picture
CURVES = {"photometric": "photometric loss"}
COLUMNS = {
    "face": ("error, face", ".3f"),
    "crop": ("error, whole crop", ".3f"),
    "sharpness": ("sharpness, face", ".2f"),
    "detail": ("detail, face", ".2f"),
}
PICTURE = "Photograph; the network's image; the same inside the face."
EXPLANATION = """\
Error: mean color distance per pixel, RGB in 0 to 1, over the face (hull of the landmarks with a forehead) or over the
whole crop. Sharpness: mean squared brightness difference of neighbouring pixels in the face, over the photograph's;
below 1 the image is blurrier, though noise and the chequers of deconvolutions count as sharp. Detail: share of the
photograph's brightness differences that is repeated in the same place, to which they add nothing. The average image of
the training faces is what a network says that has learned nothing about the single face.
"""


@dataclass(frozen=True)
class PixelErrors:
    """What several systems' images were measured at.

    Attributes:
        groups: which held-out images belong to each block of the table.
        systems: name of each row, and its errors (see `mofa3d.evaluation.comparison.pixels.evaluate`).
    """

    groups: Mapping[str, Sequence[bool]]
    systems: dict[str, dict[str, Tensor]]

    def means(self) -> dict[str, dict[str, dict[str, float]]]:
        """Of each system and group."""
        return {system: group_means(errors, self.groups) for system, errors in self.systems.items()}

    def table(self) -> str:
        rows, means = [], self.means()
        for group in self.groups:
            for system, values in means.items():
                cells = [format(values[group][name], form) for name, (_, form) in COLUMNS.items()]
                rows.append([group, str(values[group]["images"]), system, *cells])
        return tables.table(["held-out images", "number", "", *(label for label, _ in COLUMNS.values())], rows)

    def report(self, title: str, facts: dict[str, str], training: dict[str, float]) -> Report:
        """The report in a folder that holds ``curves.png`` and ``faces.png``."""
        sections = [
            f"## Errors\n\n{self.table()}\n\n{EXPLANATION}",
            "## Learning curve\n\n![learning curve](curves.png)",
            f"## Held-out faces\n\n{PICTURE}\n\n![held-out faces](faces.png)",
        ]
        return Report(title, facts, sections, {"training": training, "errors": self.means()})


def report_network(
    title: str,
    name: str,
    predict: Predict,
    facts: dict[str, str],
    training: dict[str, float],
    faces: Faces,
    view: PixelView,
    out: Path,
) -> str:
    """Measure a trained network beside the average image, and write the whole report; returns what to print.

    Args:
        title: of the report.
        name: of the network's rows.
        predict: the network's images for what `view` gives.
        facts: lines about the run, name and value.
        training: how far it came (see `mofa3d.training.progress.Progress.numbers`).
        faces: what it was trained on and what is held out.
        view: how networks see the faces.
        out: the training's folder.
    """
    blank = average_image(faces.dataset, faces.train, view)
    systems = {"average image": lambda batch: blank.expand_as(batch["image"]), name: predict}
    measured = {system: evaluate_pixels(row, faces.dataset, faces.test, view) for system, row in systems.items()}
    errors = PixelErrors(faces.groups, measured)
    draw_curves(out / "metrics.jsonl", out / "curves.png", CURVES)
    draw_pixels(predict, faces.dataset, spread(faces.test, SHOWN), view, out / "faces.png")
    return f"{errors.table()}\nThe report is {errors.report(title, facts, training).write(out)}"
