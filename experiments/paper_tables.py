"""Compare every system of the paper in one run: train what is missing, then measure all on the same images.

    python experiments/paper_tables.py --data CORPUS --out results                 # 45 minutes on two cores
    python experiments/paper_tables.py --data PHOTOS --preset long --out results   # four hours
    python experiments/paper_tables.py --data CORPUS --reuse.surrogate runs/mine --lfw LFW --pairs pairs.txt
    python experiments/paper_tables.py --data CORPUS --scans SCANS --out results
    python experiments/paper_tables.py --data CORPUS --encoder-weights.vgg-face vgg_face.pth --budget.further 60

AlexNet and VGG-Face start from random weights unless pretrained ones are given, so a few minutes do not train them
fully: the table of trainings shows how many iterations each reached. A system that fails is listed in the tables with
the reason. If it is started again with the same options, the program continues where it stopped. Writes results.md,
results.json, figures and the runs themselves into --out; checkpoints of AlexNet and VGG-Face take 5 GB.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from mofa3d import Camera, Decoder, load_model
from mofa3d.cli import program
from mofa3d.data.corpus.open import Faces
from mofa3d.data.corpus.synthetic import SyntheticConfig
from mofa3d.encoders.checkpoint import open_run
from mofa3d.environment.cache_folder import cache_directory
from mofa3d.environment.machine import commit, machine
from mofa3d.errors import InputError
from mofa3d.evaluation.comparison import captions, tables
from mofa3d.evaluation.comparison.codes import compare_codes
from mofa3d.evaluation.comparison.figures import draw_distributions, draw_learning, draw_systems
from mofa3d.evaluation.comparison.networks.light import with_light
from mofa3d.evaluation.comparison.occlusion import compare_occluded
from mofa3d.evaluation.comparison.open_systems import open_regressor
from mofa3d.evaluation.comparison.pixels.systems import PixelSystems
from mofa3d.evaluation.comparison.plan import (
    LABELS,
    MOFA,
    ON_SYNTHETIC,
    RICHARDSON,
    SURROGATE,
    TRAN,
    Budget,
    TrainingsConfig,
    opened,
    plan,
    train_all,
)
from mofa3d.evaluation.comparison.program_runs import Outcome, RunProgram, programs_of
from mofa3d.evaluation.comparison.run_config import RunConfig
from mofa3d.evaluation.comparison.scans import COLUMNS, EXPLANATION, compare_scans
from mofa3d.evaluation.comparison.tables import Table, comparison_report
from mofa3d.evaluation.comparison.training_tables import before_and_after, training_rows
from mofa3d.evaluation.comparison.verify_systems import verify_all
from mofa3d.evaluation.errors import average_face
from mofa3d.evaluation.estimates import Estimate, Measured, choose, encoder_estimate, fit_estimate
from mofa3d.evaluation.occlusion import OccludedFaces
from mofa3d.evaluation.scans.errors import read_scans
from mofa3d.evaluation.scans.folder import find_scans
from mofa3d.evaluation.scans.scan import Unit
from mofa3d.files.folders import take_folder
from mofa3d.fitting.gauss_newton import garrido, thies
from mofa3d.renderers import make_renderer

AVERAGE = "average face"
SHOWN = 6  # photographs in faces.png and occluders.png


def announced(run: RunProgram) -> RunProgram:
    """The same, but one can read which program runs, and how long it took."""

    def aloud(command: Sequence[str], log: Path) -> None:
        print(shlex.join(command), flush=True)
        began = time.monotonic()
        try:
            run(command, log)
        except Exception as error:
            print(f"  failed: {error}", flush=True)
            raise
        print(f"  {time.monotonic() - began:.0f} s", flush=True)

    return aloud


RUN = announced(programs_of(Path(__file__).parent))


@dataclass(frozen=True)
class Config(TrainingsConfig):
    lfw: Path | None = None
    """Folder of LFW, to verify people with; without it, held-out people of the corpus are verified."""
    pairs: Path | None = None
    """LFW's pairs.txt."""
    scans: Path | None = None
    """A folder of scans with photographs of the same people, or NoW's; see docs/evaluation.md."""
    scan_unit: Unit = "mm"
    """Unit of the scans and their landmarks."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.lfw is None) != (self.pairs is None):
            raise InputError("verification needs both --lfw and --pairs; give both, or neither")


def estimates(
    mofa_systems: tuple[str, ...], outcomes: dict[str, Outcome], whole: Decoder, frontal: Decoder
) -> dict[str, Callable[[], Estimate]]:
    """What opens each system that says codes."""

    def mofa(system: str) -> Estimate:
        encoder, decode = open_run(opened(outcomes[system]))
        require_model(decode, whole)
        return encoder_estimate(encoder, decode)

    def richardson() -> Estimate:
        raster = make_renderer("cpu", antialias=False)
        network, decode = open_regressor(opened(outcomes[RICHARDSON]), raster)
        require_model(decode, whole)
        return encoder_estimate(with_light(network, frontal), frontal)

    return {
        AVERAGE: lambda: encoder_estimate(average_face(frontal), frontal),
        **{system: partial(mofa, system) for system in (*mofa_systems, ON_SYNTHETIC)},
        "Garrido": lambda: fit_estimate(whole, garrido()),
        "Thies": lambda: fit_estimate(whole, thies()),
        "Thies, no landmarks": lambda: fit_estimate(whole, thies(), landmarks=False),
        RICHARDSON: richardson,
        TRAN: partial(mofa, TRAN),
    }


def require_model(decode: Decoder, whole: Decoder) -> None:
    if decode.model.fingerprint() != whole.model.fingerprint():
        raise InputError(
            f"it was trained for another face model than {whole.model.name!r}; give its model as --model-path, or "
            "train it again"
        )


def verified(
    config: Config, corpus: Path, outcomes: dict[str, Outcome], run: RunProgram
) -> tuple[Table, dict[str, str]]:
    """Verification of people, on LFW if it is there, and the commands."""
    if config.lfw is not None:
        title, explanation = "Verification on LFW", captions.VERIFICATION
        photographs = ("--lfw", str(config.lfw), "--pairs", str(config.pairs))
    else:
        title, explanation = "Verification of held-out people", captions.OWN_VERIFICATION
        photographs = ("--corpus", str(corpus), "--photographs", str(config.size.verified))
    rows, commands = verify_all(config, photographs, outcomes, run)
    return Table(title, explanation, tables.VERIFICATION, rows), commands


def scanned(config: Config, starts: dict[str, Callable[[], Estimate]], whole: Decoder) -> list[Table]:
    """Geometry against scans, if there are any."""
    if config.scans is None:
        return []
    scans = read_scans(find_scans(config.scans), config.scan_unit, whole.model)
    rows = compare_scans(starts, whole, scans, landmarks=True)
    return [Table("Against scans", EXPLANATION, COLUMNS, rows)]


@dataclass(frozen=True)
class ComparedFaces:
    """What all systems are compared on: faces, and which of them."""

    photos: Faces
    faces: Faces
    photo_indices: list[int]
    face_indices: list[int]


def main(config: Config, run: RunProgram = RUN) -> None:
    version, cache = commit(), cache_directory()
    take_folder(config.out, "paper_tables.py")
    model = load_model(config.model, path=config.model_path or None)
    raster = make_renderer("cpu", antialias=False)
    photos = RunConfig(data=str(config.data)).open_faces(model, raster, cache)
    faces = RunConfig(synthetic=SyntheticConfig(count=config.synthetic_count)).open_faces(model, raster, cache)
    outcomes = train_all(config, plan(config, photos.dataset.folder), run)
    verification, more = verified(config, photos.dataset.folder, outcomes, run)
    commands = {system: outcome.command for system, outcome in outcomes.items()} | more

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # fits take longer on several, and times must compare
    count, vertex = config.size.photographs, make_renderer("vertex")
    images = ComparedFaces(
        photos, faces, choose(photos.dataset, photos.test, count), choose(faces.dataset, faces.test, count)
    )
    whole, frontal = Decoder(model, Camera()), Decoder(model.restrict(model.frontal), Camera())
    sets = ((photos.dataset, images.photo_indices), (faces.dataset, images.face_indices))
    starts = estimates(config.mofa_systems, outcomes, whole, frontal)
    (on_photos, on_faces), (measured, _), ready = compare_codes(starts, frontal, vertex, sets)
    clear = {system: measured[system] for system in (AVERAGE, MOFA, SURROGATE) if system in measured}
    hidden = OccludedFaces(photos.dataset)
    occluded, half_seen = compare_occluded(ready, clear, frontal, vertex, hidden, images.photo_indices)
    pixels = PixelSystems(outcomes, ready, whole, make_renderer("cpu"), config.image_size)
    pixel_rows = pixels.on_photographs(photos, images.photo_indices)
    face_pixel_rows = pixels.on_synthetic(faces, images.face_indices)

    trained = before_and_after(f"{AVERAGE}, before", f"{ON_SYNTHETIC}, after", outcomes[ON_SYNTHETIC])
    times = [row for row in (*on_photos, *pixel_rows) if not row.system.startswith("average")]
    compared = [
        Table("Trainings", captions.TRAININGS, tables.TRAININGS, training_rows(outcomes)),
        Table("Held-out photographs", captions.PHOTOGRAPHS, tables.PHOTOGRAPHS, on_photos),
        Table("Synthetic faces with known geometry", captions.SYNTHETIC, tables.SYNTHETIC, on_faces),
        Table("Training on synthetic faces, before and after", captions.TRAINED, tables.BEFORE_AND_AFTER, trained),
        *scanned(config, starts, whole),
        Table("Photographs with occluders", captions.OCCLUDED, tables.OCCLUDED, occluded),
        Table("Pixels of photographs", captions.PIXELS, tables.PIXELS, pixel_rows),
        Table("Pixels of synthetic faces", captions.SYNTHETIC_PIXELS, tables.PIXELS, face_pixel_rows),
        Table("Time per image", captions.TIMES, tables.TIMES, times),
        verification,
    ]
    facts = {
        "data": photos.fact,
        "synthetic": faces.fact,
        "compared": f"{len(images.photo_indices)} photographs and {len(images.face_indices)} synthetic faces",
        "face model": model.name,
        "encoder": f"{LABELS[config.encoders[0]]} at {config.input_size} px, where no other is named",
        "preset": config.preset + ("" if config.budget == Budget() else ", with another budget"),
        "commit": version,
        "machine": f"{machine()} for measurements, {threads} for trainings",
    }
    figures = draw(config, images, outcomes, measured, pixels)
    if half_seen:
        seen = torch.stack([hidden[i]["input"] for i in images.photo_indices[:SHOWN]])
        figures |= draw_sheet_of(config.out / "occluders.png", "Occluders", half_seen, {}, seen, whole)
    remark = {"Where we differ from the paper and why": captions.DIFFERENCES}
    report = comparison_report("Every system of the paper, compared", facts, compared, figures, commands, remark)
    print(f"\nThe results are {report.write(config.out, 'results')}")


def draw(
    config: Config,
    images: ComparedFaces,
    outcomes: dict[str, Outcome],
    measured: dict[str, Measured],
    pixels: PixelSystems,
) -> dict[str, str]:
    """Draw the figures; returns their file names and captions."""
    out, indices = config.out, images.photo_indices[:SHOWN]
    logs = {name: outcomes[name].out / "metrics.jsonl" for name in (*config.mofa_systems, ON_SYNTHETIC)}
    draw_learning({name: log for name, log in logs.items() if log.exists()}, out / "curves.png")
    draw_distributions({name: found.errors for name, found in measured.items()}, out / "errors.png")
    photos = torch.stack([images.photos.dataset[i]["image"] for i in indices])
    drawn = pixels.drawn(images.photos, indices)
    return {
        "curves.png": "Learning curves. MoFA's trainings, smoothed, on the images that they learn from.",
        "errors.png": "Distribution of errors. Share of the held-out photographs that is at least as good.",
        **draw_sheet_of(out / "faces.png", "Faces", measured, drawn, photos, pixels.whole),
    }


def draw_sheet_of(
    path: Path,
    title: str,
    measured: dict[str, Measured],
    drawn: dict[str, torch.Tensor],
    photos: torch.Tensor,
    whole: Decoder,
) -> dict[str, str]:
    """Draw what systems make of photographs; returns the file's name and caption."""
    codes = {name: found.codes[: len(photos)] for name, found in measured.items()}
    draw_systems(codes, drawn, photos, whole, make_renderer("cpu"), path)
    return {path.name: f"{title}. {', '.join(['photograph', *codes, *drawn])}; a row for each photograph."}


if __name__ == "__main__":
    program.run(main, Config, __doc__, stopped="stopped; the same command goes on")
