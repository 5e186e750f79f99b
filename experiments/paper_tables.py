"""Compare every system of the paper in one run: train what is missing, then measure all on the same images.

    python experiments/paper_tables.py --data CORPUS --out results                 # 45 minutes on two cores
    python experiments/paper_tables.py --data PHOTOS --preset long --out results   # three hours
    python experiments/paper_tables.py --data CORPUS --reuse.surrogate runs/mine --lfw LFW --pairs pairs.txt

A system that fails is named in the tables with its reason. Started again with the same options, the program goes on.
Writes results.md, results.json, curves.png, errors.png, faces.png and the runs themselves into --out.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch.utils.data import default_collate

from mofa3d import Camera, Decoder, SemanticCode, load_model, program
from mofa3d.baselines import remarks, tables
from mofa3d.baselines.comparison import (
    Estimate,
    Measured,
    choose,
    compare_codes,
    encoder_estimate,
    fit_estimate,
)
from mofa3d.baselines.comparison_figures import draw_distributions, draw_learning, draw_systems
from mofa3d.baselines.learned_decoder import LearnedDecoder
from mofa3d.baselines.light import with_light
from mofa3d.baselines.pixel_comparison import compare_pixels, redrawn, rendered, require_size
from mofa3d.baselines.pixel_evaluation import Batch, PixelView, Predict, average_image
from mofa3d.baselines.recipe import SYNTHETIC, Faces, RunConfig, open_faces
from mofa3d.baselines.steps import REPORT, Outcome, Run, Step, carry_out, check_record, programs_of
from mofa3d.baselines.systems import open_autoencoder, open_learned_decoder, open_regressor
from mofa3d.baselines.tables import Results, Row, Table
from mofa3d.checkpoints import open_run
from mofa3d.data.synthetic import SyntheticConfig
from mofa3d.environment import commit, machine
from mofa3d.evaluation import average_face
from mofa3d.gauss_newton import garrido, thies
from mofa3d.models.makehuman.cache import cache_directory
from renderers import make_renderer

SHOWN = 6  # photographs in faces.png
MOFA, SURROGATE, ON_SYNTHETIC = "MoFA", "MoFA, surrogate", "MoFA, synthetic"
RICHARDSON, TRAN = "Richardson", "Tran"
AUTOENCODER, CONV_DECODER = "autoencoder", "learned decoder"


@dataclass(frozen=True)
class Budget:
    """Minutes of each training, and how much is compared; what is left at None follows the preset."""

    mofa: float | None = None
    surrogate: float | None = None
    synthetic: float | None = None
    """Of MoFA and of Richardson's network, each, on the same synthetic images."""
    tran: float | None = None
    autoencoder: float | None = None
    conv_decoder: float | None = None
    people: int | None = None
    """Whose photographs are fitted before Tran's network is trained."""
    photographs: int | None = None
    """Held-out photographs, and as many synthetic faces, on which all systems are compared."""


# Preparing 24,000 photographs takes a quarter of an hour of the 45 minutes; reports and fits take another ten.
QUICK = Budget(4.0, 4.0, 2.5, 1.0, 1.5, 1.5, people=20, photographs=40)
LONG = Budget(40.0, 40.0, 20.0, 15.0, 15.0, 15.0, people=200, photographs=200)
RUN = programs_of(Path(__file__).parent)


@dataclass(frozen=True)
class Reuse:
    """Runs that were trained before, as folders or checkpoints, in the place of new ones."""

    mofa: Path | None = None
    surrogate: Path | None = None
    synthetic: Path | None = None
    richardson: Path | None = None
    tran: Path | None = None
    autoencoder: Path | None = None
    conv_decoder: Path | None = None


@dataclass(frozen=True)
class Config:
    data: Path
    """A corpus of `mofa3d prepare`, or a folder of photographs."""
    out: Path = Path("results")
    preset: Literal["quick", "long"] = "quick"
    budget: Budget = field(default_factory=Budget)
    reuse: Reuse = field(default_factory=Reuse)
    synthetic_count: int = 3000
    """Synthetic faces to train on and to be tested on."""
    lfw: Path | None = None
    """Folder of LFW, to verify people with each encoder."""
    pairs: Path | None = None
    """LFW's pairs.txt."""
    iterations: int = 1_000_000
    """End of every training, if the minutes have not ended it."""
    encoder: str = "mobilenet_v2"
    encoder_weights: str = "auto"
    """File of pretrained weights, "auto" (ImageNet for mobilenet_v2) or "none"."""
    input_size: int = 112
    """Side in pixels at which encoders look."""
    image_size: int = 112
    """Side of the images of the networks of pixels, a multiple of 16."""
    model: str = "makehuman"
    model_path: str = ""

    def __post_init__(self) -> None:
        if (self.lfw is None) != (self.pairs is None):
            raise ValueError("verification takes both --lfw and --pairs; give the other one too, or none")

    @property
    def size(self) -> Budget:
        """The preset with what was asked for on top."""
        asked = {name: value for name, value in vars(self.budget).items() if value is not None}
        return replace({"quick": QUICK, "long": LONG}[self.preset], **asked)


def plan(config: Config, corpus: Path) -> dict[str, Step]:
    """The trainings, in their order."""
    size, photos = config.size, ("--data", str(corpus))
    model = ("--model", config.model, *(("--model-path", config.model_path) if config.model_path else ()))
    faces = ("--data", SYNTHETIC, "--synthetic.count", str(config.synthetic_count))
    look = ("--encoder", config.encoder, "--encoder-weights", config.encoder_weights)
    look += ("--input-size", str(config.input_size))
    pixels = ("--image-size", str(config.image_size))
    start = str(config.reuse.surrogate or config.out / "runs" / "mofa_surrogate")
    people = ("--checkpoint", start, "--people", str(size.people))
    chosen = {
        MOFA: ("mofa", "train_mofa", size.mofa, (*photos, *model, *look)),
        SURROGATE: ("mofa_surrogate", "train_mofa", size.surrogate, (*photos, "--landmarks", *model, *look)),
        ON_SYNTHETIC: ("mofa_synthetic", "train_mofa", size.synthetic, (*faces, *model, *look)),
        RICHARDSON: ("richardson", "train_regressor", size.synthetic, (*faces, *model, *look)),
        TRAN: ("tran", "train_pooled", size.tran, (*photos, *people)),
        AUTOENCODER: ("autoencoder", "train_autoencoder", size.autoencoder, (*photos, *model, *pixels)),
        CONV_DECODER: ("conv_decoder", "train_conv_decoder", size.conv_decoder, (*faces, *model, *pixels)),
    }
    steps = {}
    for system, (name, script, minutes, arguments) in chosen.items():
        until = ("--minutes", f"{minutes:g}", "--iterations", str(config.iterations))
        steps[system] = Step(name, script, (*arguments, *until), config.out / "runs" / name)
    return steps


def train_all(config: Config, steps: dict[str, Step], run: Run) -> dict[str, Outcome]:
    """What became of each training."""
    given = dict(zip(steps, vars(config.reuse).values(), strict=True))
    for system, step in steps.items():
        if given[system] is None:
            check_record(step)  # before the first training, not after hours
    outcomes: dict[str, Outcome] = {}
    for system, step in steps.items():
        if given[system] is not None:
            outcomes[system] = Outcome(given[system], f"# reused: {given[system]}")
        elif system == TRAN and outcomes[SURROGATE].reason:
            outcomes[system] = Outcome(step.out, "# not run", f"its fits start from {SURROGATE}, which failed")
        else:
            print(f"{system}: {' '.join(step.command)}", flush=True)
            outcomes[system] = carry_out(step, run)
        if outcomes[system].reason:
            print(f"{system} failed: {outcomes[system].reason}", flush=True)
    return outcomes


def estimates(outcomes: dict[str, Outcome], whole: Decoder, frontal: Decoder) -> dict[str, Callable[[], Estimate]]:
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
        "average face": lambda: encoder_estimate(average_face(frontal), frontal),
        MOFA: partial(mofa, MOFA),
        SURROGATE: partial(mofa, SURROGATE),
        ON_SYNTHETIC: partial(mofa, ON_SYNTHETIC),
        "Garrido": lambda: fit_estimate(whole, garrido()),
        "Thies": lambda: fit_estimate(whole, thies()),
        "Thies, no landmarks": lambda: fit_estimate(whole, thies(), landmarks=False),
        RICHARDSON: richardson,
        TRAN: partial(mofa, TRAN),
    }


def opened(outcome: Outcome) -> Path:
    """The run of a training that did not fail."""
    if outcome.reason:
        raise ValueError(outcome.reason)
    return outcome.out


def require_model(decode: Decoder, whole: Decoder) -> None:
    if decode.model.fingerprint() != whole.model.fingerprint():
        raise ValueError(
            f"it was trained for another face model than {whole.model.name!r}; give its model as --model-path, or "
            "train it again"
        )


def verify_all(config: Config, outcomes: dict[str, Outcome], run: Run) -> tuple[Table, dict[str, str]]:
    """Verification of people with each encoder, and the commands."""
    rows, commands = [], {}
    for system, name in ((MOFA, "mofa"), (SURROGATE, "mofa_surrogate"), (TRAN, "tran")):
        out = config.out / "runs" / f"verification_{name}"
        arguments = ("--lfw", str(config.lfw), "--pairs", str(config.pairs), "--checkpoint", str(outcomes[system].out))
        step = Step(out.name, "verify_lfw", arguments, out)
        if outcomes[system].reason:
            rows.append(Row(system, reason=outcomes[system].reason))
            continue
        print(f"{system}: {' '.join(step.command)}", flush=True)
        outcome = carry_out(step, run)
        commands[f"{system}, verification"] = outcome.command
        if outcome.reason:
            rows.append(Row(system, reason=outcome.reason))
            continue
        content = json.loads((out / REPORT).read_text(encoding="utf-8"))
        found = content["results"]["shape and reflectance"]
        percent = {name: 100 * found[name] for name in ("accuracy", "standard error")}
        photos = int(content["facts"]["photographs"].split()[0])
        rows.append(Row(system, {**percent, "area": found["area"]}, photos))
    return Table("Verification on LFW", remarks.VERIFICATION, tables.VERIFICATION, rows), commands


@dataclass(frozen=True)
class Images:
    """What all systems are compared on: faces, and which of them."""

    photos: Faces
    faces: Faces
    photo_indices: list[int]
    face_indices: list[int]


@torch.no_grad()
def pixel_rows(
    config: Config, images: Images, outcomes: dict[str, Outcome], ready: dict[str, Estimate], whole: Decoder
) -> tuple[list[Row], list[Row], dict[str, torch.Tensor]]:
    """Rows of photographs and of synthetic faces, and what the autoencoder makes of the first photographs."""
    points = whole(SemanticCode.zeros(sizes=whole.model.sizes)).landmarks[0]
    view, render = PixelView(config.image_size, points, whole.camera.image_size), make_renderer("cpu")
    photos, faces = images.photos, images.faces
    average = average_image(photos.dataset, photos.train, view)
    grey = average_image(faces.dataset, faces.train, view)

    def true(batch: Batch) -> SemanticCode:
        return SemanticCode.from_vector(batch["code"], whole.model.sizes)

    def needed(system: str) -> Estimate:
        if system not in ready:
            raise ValueError(f"it takes the codes of {system}, which is not there")
        return ready[system]

    def autoencoder() -> Predict:
        network = open_autoencoder(opened(outcomes[AUTOENCODER]))
        require_size(network.decoder, config.image_size)
        return lambda batch: network(batch["image"])

    def decoder() -> LearnedDecoder:
        network = open_learned_decoder(opened(outcomes[CONV_DECODER]))
        require_size(network.decoder, config.image_size)
        return network

    on_photos: dict[str, Callable[[], Predict]] = {
        "average image": lambda: lambda batch: average.expand_as(batch["image"]),
        AUTOENCODER: autoencoder,
        f"{CONV_DECODER}, codes of {SURROGATE}": lambda: redrawn(needed(SURROGATE), decoder()),
        f"face model, codes of {SURROGATE}": lambda: rendered(needed(SURROGATE), whole, render, average),
    }
    on_faces: dict[str, Callable[[], Predict]] = {
        "average image": lambda: lambda batch: grey.expand_as(batch["image"]),
        f"{CONV_DECODER}, true codes": lambda: redrawn(true, decoder()),
        "face model, true codes": lambda: rendered(true, whole, render, grey),
    }
    rows = compare_pixels(on_photos, photos.dataset, images.photo_indices, view)
    drawn = {}
    if not next(row.reason for row in rows if row.system == AUTOENCODER):
        shown = default_collate([photos.dataset[i] for i in images.photo_indices[:SHOWN]])
        drawn[AUTOENCODER] = autoencoder()(view(shown))
    return rows, compare_pixels(on_faces, faces.dataset, images.face_indices, view), drawn


def main(config: Config, run: Run = RUN) -> None:
    version, cache = commit(), cache_directory()
    config.out.mkdir(parents=True, exist_ok=True)
    model = load_model(config.model, path=config.model_path or None)
    raster = make_renderer("cpu", antialias=False)
    photos = open_faces(RunConfig(data=str(config.data)), model, raster, cache)
    faces = open_faces(RunConfig(synthetic=SyntheticConfig(count=config.synthetic_count)), model, raster, cache)
    outcomes = train_all(config, plan(config, photos.dataset.folder), run)
    commands = {system: outcome.command for system, outcome in outcomes.items()}
    verified, more = verify_all(config, outcomes, run) if config.lfw is not None else (None, {})

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # fits take longer on several, and times must compare
    count = config.size.photographs
    images = Images(photos, faces, choose(photos.dataset, photos.test, count), choose(faces.dataset, faces.test, count))
    whole, frontal = Decoder(model, Camera()), Decoder(model.restrict(model.frontal), Camera())
    sets = ((photos.dataset, images.photo_indices), (faces.dataset, images.face_indices))
    starts = estimates(outcomes, whole, frontal)
    (on_photos, on_faces), (measured, _), ready = compare_codes(starts, frontal, make_renderer("vertex"), sets)
    pixels, face_pixels, drawn = pixel_rows(config, images, outcomes, ready, whole)
    times = [row for row in (*on_photos, *pixels) if not row.system.startswith("average")]
    compared = [
        Table("Held-out photographs", remarks.PHOTOGRAPHS, tables.PHOTOGRAPHS, on_photos),
        Table("Synthetic faces with known geometry", remarks.SYNTHETIC, tables.SYNTHETIC, on_faces),
        Table("Pixels of photographs", remarks.PIXELS, tables.PIXELS, pixels),
        Table("Pixels of synthetic faces", remarks.SYNTHETIC_PIXELS, tables.PIXELS, face_pixels),
        Table("Time per image", remarks.TIMES, tables.TIMES, times),
        *([verified] if verified is not None else []),
    ]
    facts = {
        "data": photos.fact,
        "synthetic": faces.fact,
        "compared": f"{len(images.photo_indices)} photographs and {len(images.face_indices)} synthetic faces",
        "face model": model.name,
        "preset": config.preset + ("" if config.budget == Budget() else ", with another budget"),
        "commit": version,
        "machine": f"{machine()} for measurements, {threads} for trainings",
    }
    figures = draw(config.out, images, outcomes, measured, drawn, whole)
    remark = {"Where we differ from the paper and why": remarks.DIFFERENCES}
    results = Results("Every system of the paper, compared", facts, compared, figures, commands | more, remark)
    print(f"\nThe results are {results.write(config.out)}")


def draw(
    out: Path,
    images: Images,
    outcomes: dict[str, Outcome],
    measured: dict[str, Measured],
    drawn: dict[str, torch.Tensor],
    whole: Decoder,
) -> dict[str, str]:
    """Draw the figures; returns their file names and captions."""
    found = (outcomes[name].out for name in (MOFA, SURROGATE, ON_SYNTHETIC))
    logs = {name: run / "metrics.jsonl" for name, run in zip((MOFA, SURROGATE, ON_SYNTHETIC), found, strict=True)}
    draw_learning({name: log for name, log in logs.items() if log.exists()}, out / "curves.png")
    draw_distributions({name: found.errors for name, found in measured.items()}, out / "errors.png")
    pictures = torch.stack([images.photos.dataset[i]["image"] for i in images.photo_indices[:SHOWN]])
    codes = {name: found.codes[: len(pictures)] for name, found in measured.items()}
    draw_systems(codes, drawn, pictures, whole, make_renderer("cpu"), out / "faces.png")
    return {
        "curves.png": "Learning curves. MoFA's trainings, smoothed, on the images that they learn from.",
        "errors.png": "Distribution of errors. Share of the held-out photographs that is at least as good.",
        "faces.png": f"Faces. {', '.join(['photograph', *codes, *drawn])}; a row for each photograph.",
    }


if __name__ == "__main__":
    program.run(main, Config, __doc__, stopped="stopped; the same command goes on")
