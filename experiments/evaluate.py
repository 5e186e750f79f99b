"""Evaluate a trained encoder on held-out photographs of a corpus and against scans.

    python experiments/evaluate.py runs/mine --data CORPUS --out evaluation
    python experiments/evaluate.py runs/mine --data CORPUS --refine --occluders --out evaluation
    python experiments/evaluate.py runs/mine --scans SCANS --out evaluation      # layouts: docs/evaluation.md

Writes report.md and report.json, and scans.csv with the numbers of each photograph that has a scan.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import tyro
from tyro.conf import Positional

from mofa3d import Decoder
from mofa3d.cli import program
from mofa3d.cli.program import Flag
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.corpus.open import open_corpus
from mofa3d.data.corpus.split import held_out, spread
from mofa3d.data.failures import Failure
from mofa3d.data.found_face import FoundFace
from mofa3d.data.photo import Photo
from mofa3d.data.readable import readable
from mofa3d.encoders.checkpoint import open_run
from mofa3d.encoders.network import Encoder
from mofa3d.encoders.weights import SHIPPED
from mofa3d.environment.cache_folder import cache_directory
from mofa3d.environment.machine import commit, machine
from mofa3d.errors import InputError
from mofa3d.evaluation.cross_photo import errors_across, photograph_pairs, with_average_skin, with_fitted_colors
from mofa3d.evaluation.errors import average_face, evaluate
from mofa3d.evaluation.estimates import Estimate, choose, encoder_estimate, fit_estimate, measure
from mofa3d.evaluation.group_errors import (
    ACROSS_MEASURES,
    MEASURES,
    SCAN_MEASURES,
    Group,
    Section,
    by_group,
    sections_report,
)
from mofa3d.evaluation.groups import people_groups, photo_groups
from mofa3d.evaluation.occlusion import OccludedFaces
from mofa3d.evaluation.scans.errors import (
    FREE,
    KEPT,
    Predict,
    ScanErrors,
    average_errors,
    face_mesh,
    measure_scans,
    predicted,
    read_scans,
    write_table,
)
from mofa3d.evaluation.scans.folder import find_scans
from mofa3d.evaluation.scans.scan import FaceMesh, Unit
from mofa3d.files.folders import take_folder
from mofa3d.fitting.gauss_newton import GaussNewton, GaussNewtonConfig, garrido, thies
from mofa3d.objective import Batch
from mofa3d.reconstruction.reconstructor import crop_at
from mofa3d.reconstruction.refine import Refiner, one_thread, own_points
from mofa3d.renderers import make_renderer
from mofa3d.semantic_code import SemanticCode

AVERAGE = "all, average face instead of the encoder"
ERRORS = """\
Mean over the photographs, and in brackets the 90th percentile: nine of ten photographs are at least as good. Of the
area ratio, whose best value is 1, the 10th and the 90th. Photometric error: mean color distance over the visible
vertices of the face, RGB in 0 to 1. Landmark error: mean distance of 46 points in pixels of the 240 px crop. Area
ratio: hull of the model's points over that of the photograph's; below 1 the face has shrunk. Yaw correlation: with the
yaw estimated from the photograph's points. The photograph's points are those that came with it, or detected ones, which
are off by some pixels themselves; an encoder trained with landmarks was supervised by points of the same kind. No
measure here covers the depth of the face."""
PEOPLE = """\
Grouped by UTKFace's file names: one of five labels, an age and a gender for each photograph, which its authors
collected and in part estimated with a program. The labels are coarse, and are not skin tone itself. The groups also
differ in pose, age, light and quality of their photographs, so a difference between two rows has more than one cause;
and equal errors in the image do not imply that shape or skin color are right."""
REFINED = """\
The same photographs, with the encoder's code and after Gauss-Newton steps from there. The fit with landmarks is given
the points that its landmark error is measured with, so that error measures how closely it follows them; the fit with
the encoder's own points is given none."""
COLORS = """\
The same photographs, with the code as `mofa3d reconstruct` gives it: reflectance and light are fitted to the encoder's
crop of the photograph by least squares; the rest is the encoder's, so only the first measure changes."""
ACROSS = """\
One pair of photographs for each person with several. Photometric error of the reflectance found in the first one:
there, and in the second one, with the geometry found in the second and light fitted to it. The last row uses the
average skin instead."""
OCCLUDED = """\
The encoder sees each photograph with one ellipse of one color laid over it, somewhere; errors are against the
photograph without it. Its radius is 10 to 30 % of the crop's width, its center is anywhere in the crop, so on some
photographs it covers little or nothing of the face."""
SCANS = """\
Distance in millimetres from each vertex of the scan within about 90 mm of the face's centre to the nearest point of
the reconstruction, after the best rotation, translation and scale. Median, mean and deviation over the vertices of a
photograph, their mean over photographs, and in brackets the 90th percentile of photographs. The protocol is that of
the NoW challenge (Sanyal et al. 2019)."""
SCANS_RIGID = """\
The same without the scale: the size of the predicted face counts. A single photograph hardly shows how large a face
is, so this mostly measures how far people are from the size of the average face."""


@dataclass(frozen=True)
class Config:
    checkpoint: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")] = SHIPPED
    """Folder of a training run, or its checkpoint; by default the encoder that ships with the package."""
    data: Path | None = None
    """A corpus of `mofa3d prepare`, or a folder of photographs; its held-out part is measured."""
    scans: Path | None = None
    """A folder of scans with photographs of the same people, or NoW's."""
    scan_unit: Unit = "mm"
    """Unit of the scans and their landmarks."""
    out: Path = Path("evaluation")
    """Folder for the report."""
    images: int = 0
    """Number of held-out photographs to measure, evenly spread; 0 means all."""
    refine: Flag = False
    """Also measure fits that start from the predicted codes, with and without landmarks."""
    refine_images: int = 100
    """Number of photographs with landmarks to fit for --refine, evenly spread."""
    refine_method: Literal["garrido", "thies"] = "thies"
    """Method of --refine: 50 steps (garrido) or 15 (thies)."""
    occluders: Flag = False
    """Also measure photographs with synthetic occluders."""
    seed: int = 0
    """Random seed of the occluders."""


def training_record(run: Path) -> dict:
    """Options of the training that are stored beside the checkpoint; nothing where there are none."""
    path = (run if run.is_dir() else run.parent) / "config.json"
    if not path.is_file():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))["config"]
        return {name: record[name] for name in ("data", "held_out", "seed")} | {"start": record.get("start")}
    except (KeyError, TypeError, ValueError) as error:  # of json
        raise InputError(
            f"{path} is not a valid record of a training ({error!r}); restore it, or move it away"
        ) from None


def choose_photographs(config: Config, corpus: Corpus) -> tuple[list[int], str]:
    """Held-out photographs, as the training held them out, and how sure it is that it did."""
    record = training_record(config.checkpoint)
    out = corpus.held_out.tolist()
    if record and record["held_out"] is not None:
        out = held_out(corpus.identities, record["held_out"], record["seed"])
    indices = np.flatnonzero(out).tolist()
    if not indices or config.images < 0:
        raise InputError(
            f"{config.data} has {len(corpus)} faces of which {len(indices)} are held out, and --images is "
            f"{config.images}; prepare more photographs, or give a positive number"
        )
    chosen = spread(indices, config.images) if config.images else indices
    return chosen, trained_on(config, record, sum(corpus.identities[i] == corpus.photos[i] for i in chosen))


def trained_on(config: Config, record: dict, nameless: int) -> str:
    """What is known about the training's data; `nameless` photographs do not say whom they show."""
    if not record:
        return "not known (no config.json beside the checkpoint); errors are too low if it saw these photographs"
    if Path(record["data"]).expanduser().resolve() == config.data.expanduser().resolve():
        known = f"the rest of the same data, {record['data']}, none of these identities"
        if nameless:
            known += f"; {nameless} photographs do not say whom they show, and the rest may show the same people"
    else:
        known = f"{record['data']}, other data; whether they show some of these people too is not checked"
    return known + (f"; it began with {record['start']}, not checked either" if record["start"] else "")


def photo_sections(config: Config, encoder: Encoder, whole: Decoder) -> tuple[list[Section], dict[str, str]]:
    """Tables of the held-out photographs, and what they were measured on."""
    corpus = open_corpus(config.data, cache_directory())
    indices, known = choose_photographs(config, corpus)
    indices, failures = readable(corpus, indices)
    # Only frontal vertices enter the errors, so only they (and what their normals need) are decoded.
    frontal = Decoder(whole.model.restrict(whole.model.frontal), whole.camera)
    render = make_renderer("vertex")
    find = partial(evaluate, decode=frontal, render=render, dataset=corpus, indices=indices)
    errors, photos = find(encoder), [corpus.photos[i] for i in indices]
    groups, people = photo_groups(corpus, indices, whole.model), people_groups(photos)
    average = Group(AVERAGE, find(average_face(frontal)))
    sections = [Section("Held-out photographs", ERRORS, [*by_group(errors, groups), average], MEASURES)]
    if people:
        sections.append(Section("By label, age and gender", PEOPLE, by_group(errors, people), MEASURES))
    fitted = with_fitted_colors(encoder, frontal)
    sections.append(Section("With colors fitted", COLORS, by_group(find(fitted), groups), MEASURES))
    pairs = photograph_pairs(indices, corpus.photos, corpus.identities)
    if pairs:
        skins = {
            "as predicted": encoder,
            "with colors fitted": fitted,
            "average skin": with_average_skin(encoder, frontal),
        }
        rows = [Group(name, errors_across(encode, frontal, render, corpus, pairs)) for name, encode in skins.items()]
        sections.append(Section("The same skin in another photograph", ACROSS, rows, ACROSS_MEASURES))
    if config.refine:
        chosen = choose(corpus, indices, config.refine_images)
        sections.append(Section("Refined by a fit", REFINED, refined(config, encoder, whole, corpus, chosen), MEASURES))
    if config.occluders:
        covered = by_group(find(encoder, dataset=OccludedFaces(corpus, config.seed)), groups)
        rows = [replace(row, name=f"{row.name}, occluded") for row in covered if "yaw" not in row.name]
        plain = [row for row in by_group(errors, groups) if "yaw" not in row.name]
        both = [row for pair in zip(plain, rows, strict=True) for row in pair]
        sections.append(Section("Under occluders", OCCLUDED, both, MEASURES))
    landmarks = int(errors["landmark"].isfinite().sum())
    facts = {
        "data": f"{config.data}: {len(indices)} held-out photographs of "
        f"{len({corpus.identities[i] for i in indices})} identities, landmarks known for {landmarks}",
        "trained on": known,
    }
    if failures:
        facts["left out"] = "; ".join(failure.reason for failure in failures)
    return sections, facts


def keeping_points(encoder: Encoder, whole: Decoder, method: GaussNewtonConfig) -> Estimate:
    """Fits that keep the points where the encoder has them, as `reconstruct --refine` does without a detector."""
    fit = GaussNewton(whole, method)

    def estimate(batch: Batch) -> SemanticCode:
        code = SemanticCode.from_vector(encoder(batch["image"]), whole.model.sizes)
        return fit(code, {**batch, **own_points(code, whole)}).codes

    return estimate


def refined(config: Config, encoder: Encoder, whole: Decoder, corpus: Corpus, indices: Sequence[int]) -> list[Group]:
    """Errors as predicted and after fits, on the same photographs."""
    method = {"garrido": garrido, "thies": thies}[config.refine_method]()
    systems = {
        "as predicted": encoder_estimate(encoder, whole),
        f"{config.refine_method}, without landmarks": fit_estimate(whole, method, landmarks=False, start=encoder),
        f"{config.refine_method}, with the encoder's own": keeping_points(encoder, whole, method),
    }
    if bool((corpus.confidence[list(indices)] > 0).all()):
        systems[f"{config.refine_method}, with landmarks"] = fit_estimate(whole, method, start=encoder)
    render = make_renderer("vertex")
    with one_thread():
        return [Group(name, measure(system, whole, render, corpus, indices).errors) for name, system in systems.items()]


def scan_sections(config: Config, encoder: Encoder, whole: Decoder) -> tuple[list[Section], dict[str, str]]:
    """Tables of the distances from scans, and what they were measured on."""
    scans = read_scans(find_scans(config.scans), config.scan_unit, whole.model)
    found = measure_scans(predicted(encoder_estimate(encoder, whole), whole, landmarks=False), scans)
    refined = measure_scans(refined_mesh(encoder, whole), scans, "with --refine") if config.refine else None
    write_table(config.out / "scans.csv", found)
    failures = [*scans.failures, *found.failures]
    average = average_errors(whole.model, scans, found.photos)
    sections = [
        Section(title, text, scan_rows(found, average, refined, kind), SCAN_MEASURES, scan_notes(found, kind, left_out))
        for title, text, kind, left_out in (
            ("Against scans", SCANS, FREE, failures),
            ("Against scans, at its own size", SCANS_RIGID, KEPT, []),
        )
    ]
    people = len({photo.person for photo in found.photos})
    fact = f"{config.scans}: {len(found.photos)} photographs of {people} people, {len(failures)} left out"
    return sections, {"scans": f"{fact}; scans.csv has each photograph"}


def refined_mesh(encoder: Encoder, whole: Decoder) -> Predict:
    """Geometry as `reconstruct --refine` gives it."""
    refine, estimate = Refiner(whole), encoder_estimate(encoder, whole)

    def predict(photo: Photo, box: FoundFace) -> FaceMesh:
        crop = crop_at(photo, box, whole.camera.image_size)
        code = refine(estimate({"image": crop.pixels[None]}), crop)
        return face_mesh(whole.model, whole.model.geometry(code.shape, code.expression)[0])

    return predict


def scan_rows(
    found: ScanErrors, average: dict[str, torch.Tensor], refined: ScanErrors | None, kind: str
) -> list[Group]:
    """All photographs, each group, refined ones, and the average face."""
    errors, still = ({name: values[kind + name] for name in SCAN_MEASURES} for values in (found.errors, average))
    groups = sorted({photo.group for photo in found.photos} - {""})
    members = {"all": [True] * len(found.photos)}
    members |= {group: [photo.group == group for photo in found.photos] for group in groups}
    again = {} if refined is None else {name: refined.errors[kind + name] for name in SCAN_MEASURES}
    return [*by_group(errors, members), *([Group("all, with --refine", again)] if again else []), Group(AVERAGE, still)]


def scan_notes(found: ScanErrors, kind: str, failures: list[Failure]) -> list[str]:
    together = {name: found.together[kind + name] for name in SCAN_MEASURES}
    numbers = ", ".join(f"{name} {value:.2f} mm" for name, value in together.items())
    left_out = [f"Left out: {failure.photo}: {failure.reason}" for failure in failures]
    return [f"Over the points of all photographs together, as NoW reports: {numbers}.", *found.notes, *left_out]


def main(config: Config) -> None:
    if config.data is None and config.scans is None:
        raise InputError("there is nothing to measure on; give --data CORPUS, --scans SCANS, or both")
    torch.manual_seed(config.seed)
    encoder, whole = open_run(config.checkpoint)
    take_folder(config.out, "evaluate.py")
    facts = {"checkpoint": str(config.checkpoint), "face model": whole.model.name}
    sections: list[Section] = []
    for wanted, measured in ((config.data, photo_sections), (config.scans, scan_sections)):
        if wanted is not None:
            more, about = measured(config, encoder, whole)
            sections += more
            facts |= about
    facts |= {"commit": commit(), "machine": machine()}
    path = sections_report("Evaluation", facts, sections).write(config.out)
    print(path.read_text(encoding="utf-8"), f"\nThe report is {path}")


if __name__ == "__main__":
    program.run(main, Config, __doc__)
