"""Measure what systems reconstruct from photographs against scans of the same people (see
`mofa3d.evaluation.scans`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from mofa3d.data.failures import Failure
from mofa3d.data.found_face import FoundFace
from mofa3d.data.photo import Photo, read_photo
from mofa3d.decoder import Decoder
from mofa3d.errors import InputError
from mofa3d.evaluation.estimates import Estimate
from mofa3d.evaluation.scans.distance import scan_distances
from mofa3d.evaluation.scans.face_boxes import choose_face, read_box
from mofa3d.evaluation.scans.folder import ScanFolder, ScannedPhoto
from mofa3d.evaluation.scans.landmarks import IBUG
from mofa3d.evaluation.scans.scan import FaceMesh, Unit, read_scan
from mofa3d.files import whole
from mofa3d.morphable_model import MorphableModel
from mofa3d.reconstruction.reconstructor import crop_at
from mofa3d.reconstruction.refine import batch_of

Predict = Callable[[Photo, FoundFace], FaceMesh]

FREE, KEPT = "", "own size, "  # scaled to the scan, or not
STATISTICS: dict[str, Callable[[np.ndarray], np.floating]] = {"median": np.median, "mean": np.mean, "std": np.std}


@dataclass(frozen=True)
class ScanSet:
    """Scans that could be read, and photographs of the people.

    Attributes:
        scans: of each person, millimetres.
        photos: of those people.
        failures: what was left out, and why.
    """

    scans: dict[str, FaceMesh]
    photos: list[ScannedPhoto]
    failures: list[Failure]


@dataclass(frozen=True)
class ScanErrors:
    """How far reconstructions are from scans.

    Attributes:
        photos: that were measured.
        errors: of each, mm: `STATISTICS` over the scan's points, with the names of `COLUMNS`.
        together: the same over the points of all photographs together, as the NoW challenge reports.
        failures: photographs that were not measured, and why.
        notes: what else must be known.
    """

    photos: list[ScannedPhoto]
    errors: dict[str, Float[Tensor, "K"]]
    together: dict[str, float]
    failures: list[Failure]
    notes: list[str]


def face_mesh(model: MorphableModel, vertices: Float[Tensor, "N 3"]) -> FaceMesh:
    """A face of a model, vertices in mm, for comparison."""
    landmarks = model.landmarks(vertices[None])[0, list(IBUG)]
    return FaceMesh(*(value.detach().cpu().numpy() for value in (vertices.double(), model.faces, landmarks.double())))


def read_scans(folder: ScanFolder, unit: Unit, model: MorphableModel) -> ScanSet:
    """Read all scans; those that cannot be used are left out with their photographs.

    Raises:
        InputError: none can be used.
    """
    average = face_mesh(model, model.mean_shape)
    scans, failures = {}, list(folder.failures)
    for person, files in tqdm(folder.people.items(), desc="reading scans", dynamic_ncols=True):
        try:
            scans[person] = read_scan(files, unit, average)
        except InputError as error:  # the other people are still worth comparing
            failures.append(Failure(person, str(error)))
    if not scans:
        raise InputError("no scan can be used: " + "; ".join(f"{f.photo}: {f.reason}" for f in failures[:3]))
    return ScanSet(scans, [photo for photo in folder.photos if photo.person in scans], failures)


def predicted(estimate: Estimate, decode: Decoder, landmarks: bool) -> Predict:
    """Geometry that a system predicts as a code.

    Args:
        estimate: gives the code of a crop.
        decode: with the whole model.
        landmarks: detect them for the estimate, as fits need.
    """

    def predict(photo: Photo, box: FoundFace) -> FaceMesh:
        code = estimate(batch_of(crop_at(photo, box, decode.camera.image_size), landmarks))
        return face_mesh(decode.model, decode.model.geometry(code.shape, code.expression)[0])

    return predict


@torch.no_grad()
def measure_scans(predict: Predict, scans: ScanSet, progress: str = "comparing with scans") -> ScanErrors:
    """Distances of each photograph's reconstruction from its scan; those that fail are listed, and the others go on.

    Raises:
        InputError: no photograph could be measured.
    """
    measured, failures = [], []
    refused: list[str] = []
    rows: list[dict[str, float]] = []
    points: dict[str, list[Float[np.ndarray, "K"]]] = {FREE: [], KEPT: []}
    for item in tqdm(scans.photos, desc=progress, dynamic_ncols=True):
        try:
            photo = read_photo(item.path)
            face = predict(photo, choose_face(photo, _box(item, refused)))
            distances = _distances(scans.scans[item.person], face)
        except InputError as error:  # the other photographs are still worth comparing
            failures.append(Failure(str(item.path), str(error)))
            continue
        measured.append(item)
        rows.append(_statistics(distances))
        for kind, values in distances.items():
            points[kind].append(values.astype(np.float32))
    if not rows:
        raise InputError("no photograph could be compared with its scan: " + "; ".join(f.reason for f in failures[:3]))
    errors = {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}
    together = _statistics({kind: np.concatenate(values) for kind, values in points.items()})
    notes = [f"{len(refused)} boxes were not used, faces were detected instead: {refused[0]}"] if refused else []
    return ScanErrors(measured, errors, together, failures, notes)


def average_errors(model: MorphableModel, scans: ScanSet, photos: Sequence[ScannedPhoto]) -> dict[str, Tensor]:
    """What `measure_scans` would say of the model's average face in the place of every reconstruction.

    Args:
        model: gives the face.
        scans: of the people.
        photos: that were measured.
    """
    face = face_mesh(model, model.mean_shape)
    people = {person: _statistics(_distances(scans.scans[person], face)) for person in {p.person for p in photos}}
    rows = [people[photo.person] for photo in photos]
    return {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}


def _distances(scan: FaceMesh, face: FaceMesh) -> dict[str, Float[np.ndarray, "K"]]:
    return {kind: scan_distances(scan, face, rigid=kind == KEPT) for kind in (FREE, KEPT)}


def _statistics(distances: dict[str, Float[np.ndarray, "K"]]) -> dict[str, float]:
    return {kind + name: float(of(d)) for kind, d in distances.items() for name, of in STATISTICS.items()}


def _box(item: ScannedPhoto, refused: list[str]) -> FoundFace | None:
    """The photograph's box if it has one that can be read without risk; else why not is added to `refused`."""
    if item.box is None:
        return None
    try:
        return read_box(item.box)
    except InputError as error:
        refused.append(str(error))
        return None


def write_table(path: Path, found: ScanErrors) -> None:
    """Write what was measured on each photograph as a CSV table."""
    rows: list[list[object]] = [["photograph", "person", "group", *found.errors]]
    for number, photo in enumerate(found.photos):
        values = [f"{float(value[number]):.4f}" for value in found.errors.values()]
        rows.append([photo.path, photo.person, photo.group, *values])
    whole.write_table(path, rows)
