"""Measure how near a face model comes to scans when its shape is fitted straight to them, without any photograph.

    python experiments/fit_scans.py SCANS
    python experiments/fit_scans.py SCANS --model flame --model-path flame2023.pkl --out runs/flame_scans

Layouts of SCANS: docs/evaluation.md. Prints a table, and writes it as report.md and report.json.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm
from tyro.conf import Positional

from mofa3d import load_model
from mofa3d.cli import program
from mofa3d.environment.machine import commit
from mofa3d.errors import InputError
from mofa3d.evaluation.report import Report
from mofa3d.evaluation.scans.distance import scan_distances
from mofa3d.evaluation.scans.errors import face_mesh, read_scans
from mofa3d.evaluation.scans.folder import find_scans
from mofa3d.evaluation.scans.model_fit import ShapeSpace, fit_scan
from mofa3d.evaluation.scans.scan import Unit
from mofa3d.evaluation.tables import table
from mofa3d.files.folders import take_folder

ABOUT = """\
Median distance in millimetres from the vertices of a scan's face region to a face of the model, after the best
rotation, translation and scale (the protocol of the NoW challenge): for its average face, and for the face of the shape
columns that is nearest to the scan. In brackets, the root mean square of its coefficients, which is 1 in random faces
of the model. The prior is the price of a coefficient of one standard deviation in mm²: the lower it is, the freer the
fit."""


@dataclass(frozen=True)
class Config:
    scans: Positional[Path]
    """A folder of scans, or NoW's."""
    scan_unit: Unit = "mm"
    """Unit of the scans and their landmarks."""
    model: str = "makehuman"
    """Name of the face model."""
    model_path: str = ""
    """File or folder to read the face model from; may be empty if it needs none."""
    priors: tuple[float, ...] = (1e-3, 1e-2)
    """Weights of the prior on the coefficients, mm²; a column of the table each."""
    out: Path = Path("scan_fits")
    """Folder for the report."""

    def __post_init__(self) -> None:
        for prior in self.priors:
            if not 0 < prior < 1e6:
                raise InputError(f"--priors must be positive and below 1e6 mm², got {prior}")


def main(config: Config) -> None:
    model = load_model(config.model, path=config.model_path or None)
    scans = read_scans(find_scans(config.scans), config.scan_unit, model)
    take_folder(config.out, "fit_scans.py")
    space, average = ShapeSpace(model), face_mesh(model, model.mean_shape)
    medians, sizes = [], []
    for scan in tqdm(scans.scans.values(), desc="fitting scans", dynamic_ncols=True):
        fits = [fit_scan(scan, space, prior) for prior in config.priors]
        medians.append([float(np.median(scan_distances(scan, face))) for face in (average, *(f.face for f in fits))])
        sizes.append([float(np.square(fit.code).mean()) for fit in fits])
    names = ["mean", *scans.scans]
    errors = np.vstack([np.mean(medians, axis=0), medians])
    spread = np.sqrt(np.vstack([np.mean(sizes, axis=0), sizes]))
    rows = [
        [name, f"{row[0]:.2f}", *(f"{mm:.3f} ({rms:.2f})" for mm, rms in zip(row[1:], codes, strict=True))]
        for name, row, codes in zip(names, errors, spread, strict=True)
    ]
    head = ["scan", "average face", *(f"fitted, prior {prior:g}" for prior in config.priors)]
    facts = {
        "face model": f"{model.name}, {model.sizes.shape} shape columns, fingerprint {model.fingerprint()}",
        "scans": f"{config.scans}: {len(scans.scans)}",
        "commit": commit(),
    }
    notes = [f"Left out: {failure.photo}: {failure.reason}" for failure in scans.failures]
    numbers = {
        "priors": list(config.priors),
        "scans": names,
        "average": errors[:, 0].tolist(),
        "median": errors[:, 1:].tolist(),
        "codes": spread.tolist(),
    }
    report = Report("A face model fitted to scans", facts, [ABOUT, table(head, rows), *notes], numbers)
    print(report.markdown(), f"\nThe report is {report.write(config.out)}")


if __name__ == "__main__":
    program.run(main, Config, __doc__)
