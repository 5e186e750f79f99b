"""Train MoFA: a photograph goes in, a semantic code comes out, and the photograph itself is the only teacher.

    python experiments/train_mofa.py --renderer=vertex                       # synthetic faces, ten minutes
    python experiments/train_mofa.py --data PHOTOS --minutes 30              # on a folder of photographs
    python experiments/train_mofa.py --data PHOTOS --landmarks --minutes 30  # with the landmark surrogate
    python experiments/train_mofa.py --data PHOTOS --preset paper --encoder alexnet --encoder-weights alexnet.pth

Writes checkpoint.pt, config.json, metrics.jsonl, TensorBoard's files and report.md into --out.
"""

from __future__ import annotations

from mofa3d import Camera, Decoder
from mofa3d.cli import program
from mofa3d.errors import InputError

# isort: split
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from mofa3d.cli.program import Flag
from mofa3d.data.batches.augment import AugmentConfig
from mofa3d.data.batches.on_gpu import ResidentFaces, fits_in_memory
from mofa3d.data.batches.stream import batches
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.corpus.open import open_corpus
from mofa3d.data.corpus.split import held_out, repeat_evenly, spread, train_and_test
from mofa3d.data.corpus.synthetic import SyntheticConfig, fingerprint_of, synthesize
from mofa3d.data.failures import FAILURES, list_failures
from mofa3d.encoders.checkpoint import Description, how_to_go_on, start_from
from mofa3d.encoders.network import Encoder
from mofa3d.environment.cache_folder import cache_directory
from mofa3d.environment.instruction_sets import bfloat16_or_float32
from mofa3d.environment.machine import check_device, commit
from mofa3d.environment.memory import keep_freed_memory
from mofa3d.evaluation.errors import average_face, evaluate
from mofa3d.evaluation.groups import photo_groups
from mofa3d.evaluation.training_report import Report, draw_curves, draw_faces, write_meshes
from mofa3d.files.whole import write_text
from mofa3d.kernels.vertex_loss.choose import make_vertex_loss
from mofa3d.objective import LossWeights
from mofa3d.renderers import make_renderer
from mofa3d.semantic_code import OutputScales
from mofa3d.training.checkpoint import claim_folder
from mofa3d.training.mofa import TrainingConfig, train
from mofa3d.training.progress import DivergenceError

PAPER = TrainingConfig()
QUICK = TrainingConfig(
    iterations=100_000,
    minutes=10.0,
    batch_size=24,
    optimizer="adam",
    learning_rate=3e-4,
    depth_learning_rate=2e-4,
    decay=True,
    # While the colours are still wrong, a face shrinks: with 150, the area ratio fell to 0.82 after 300 steps, and rose
    # slowly afterwards.
    freeze_geometry=450,
    # Geometry needs a strong prior without landmarks: at 1e-4, cheeks and chins go where the colours fit best, and the
    # landmark error of frontal faces ends above its start.
    loss=LossWeights(regularizer=3e-4, coloured_light=0.5, background_cost=0.14),
)
QUICK_LANDMARKS = replace(
    QUICK,
    freeze_geometry=150,
    loss=LossWeights(regularizer=1e-4, coloured_light=0.5, landmark=1.0, lip_closure=5.0),
)


@dataclass(frozen=True)
class Config:
    """Options left at None follow the preset."""

    renderer: str = "vertex"
    """How images are formed: vertex (the paper), cpu, pytorch3d, nvdiffrast, or an entry point."""
    data: str = "synthetic"
    """"synthetic", a folder of photographs (searched recursively), or a corpus of `mofa3d prepare`."""
    preset: Literal["quick", "paper"] = "quick"
    """"paper": AdaDelta, batches of 5, Eq. 8 as printed. "quick": Adam, batches of 24, a background cost."""
    out: Path = Path("runs/default")
    """Folder for everything this training writes."""
    landmarks: Flag = False
    """Train with the landmark surrogate too (Eq. 9); the default on synthetic faces, whose points are known."""
    no_landmarks: Flag = False
    """Train without it on synthetic faces too."""
    background_cost: float | None = None
    """Lowers the error of each visible vertex, weighted by its projected area; 0 is Eq. 8 as printed, and the default
    with --landmarks."""
    regularizer: float | None = None
    """Weight of the statistical regularisation (Eq. 10)."""
    fitted_photometric: float | None = None
    """Weight of the photometric loss with colours found by least squares, beside the one with the encoder's."""
    iterations: int | None = None
    minutes: float | None = None
    """End after this time; 0 means no limit."""
    batch_size: int | None = None
    optimizer: Literal["adadelta", "adam"] | None = None
    learning_rate: float | None = None
    depth_learning_rate: float | None = None
    """Learning rate of the row that predicts t_z."""
    encoder: str | None = None
    """alexnet, vgg_face, mobilenet_v2 or resnet50."""
    encoder_weights: str = "auto"
    """File of pretrained weights, "auto" (ImageNet for mobilenet_v2) or "none"."""
    bfloat16: Flag = False
    """Let the encoder compute in bfloat16: faster on processors that multiply it (AVX-512 BF16, AMX), with two or three
    digits; others go on in float32, and say so."""
    start: Path | None = None
    """Begin with the weights of another training's encoder: its folder, or its checkpoint."""
    input_size: int | None = None
    """Side in pixels at which the encoder looks; 0 means the crop's own."""
    model: str = "makehuman"
    model_path: str = ""
    """The file or folder that the model's source reads, or a .safetensors file that mofa3d wrote."""
    scales: OutputScales = field(default_factory=OutputScales)
    """How far one unit of the network's output moves each block of the code."""
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    even_sources: Flag = False
    """Show photographs of smaller sources of a corpus more often, so that all sources are seen about equally often."""
    freeze_geometry: int | None = None
    """Steps at the start in which only reflectance and light move."""
    held_out: float | None = None
    """Fraction of identities (or synthetic faces) that are kept for the report, instead of the corpus's own choice."""
    report_images: int = 0
    """Held-out images, evenly spread, that the report measures; 0 means all."""
    checkpoint_every: int | None = None
    """Steps after which a checkpoint is written, 500 by default; 0 means never."""
    checkpoint_minutes: float | None = None
    """Minutes after which one is written if that comes first, 5 by default; 0 means never."""
    resume: bool = False
    """Go on from the checkpoint in --out."""
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True)
class Images:
    """Data of one run: what to train on, what to report on, and the rows of the report's table."""

    dataset: Corpus
    train: list[int]
    test: list[int]
    groups: dict[str, list[bool]]
    facts: dict[str, str]


def with_landmarks(config: Config) -> bool:
    """Whether the surrogate is on.

    Synthetic faces fit the model so well that a background cost that suits photographs makes unsupervised faces grow
    without end (landmark error 17 -> 108 px in five minutes at 0.18).
    """
    if config.landmarks and config.no_landmarks:
        raise InputError("--landmarks and --no-landmarks exclude each other; give one of them")
    by_default = config.data == "synthetic" and config.preset == "quick"
    return config.landmarks or (by_default and not config.no_landmarks)


def training_config(config: Config) -> TrainingConfig:
    """The preset with what was asked for on top."""
    landmarks = with_landmarks(config)
    if config.preset == "paper":
        preset = replace(PAPER, loss=replace(PAPER.loss, landmark=float(landmarks)))
    else:
        preset = QUICK_LANDMARKS if landmarks else QUICK
    names = ("iterations", "minutes", "batch_size", "optimizer", "learning_rate", "depth_learning_rate")
    names += ("freeze_geometry", "checkpoint_every", "checkpoint_minutes")
    asked = {name: getattr(config, name) for name in names if getattr(config, name) is not None}
    if config.bfloat16:
        asked["bfloat16"] = True
    if config.start is not None:
        asked.setdefault("freeze_geometry", 0)  # its colours are not wrong any more
    if config.iterations is not None and config.minutes is None:
        asked["minutes"] = 0.0  # a number of iterations means just that
    weights = ("regularizer", "background_cost", "fitted_photometric")
    loss = {name: getattr(config, name) for name in weights if getattr(config, name) is not None}
    return replace(preset, **asked, loss=replace(preset.loss, **loss))


def description(config: Config) -> Description:
    """What the checkpoint will say about the autoencoder."""
    name = config.encoder or ("alexnet" if config.preset == "paper" else "mobilenet_v2")
    size = config.input_size if config.input_size is not None else (0 if config.preset == "paper" else 112)
    path = str(Path(config.model_path).resolve()) if config.model_path else ""
    return Description(config.model, path, encoder=name, input_size=size or None, scales=config.scales)


def load_images(config: Config, decode: Decoder) -> Images:
    """Synthetic faces, a prepared corpus, or the photographs of a folder."""
    cache = cache_directory()
    if config.data == "synthetic":
        out = cache / f"synthetic-{fingerprint_of(config.synthetic, decode)}"
        corpus = synthesize(config.synthetic, decode, make_renderer("cpu", antialias=False), out)
        train_indices, test = split(config, corpus)
        facts = {"data": f"{len(corpus)} synthetic faces, {measured(config, test)}"}
        return Images(corpus, train_indices, test, {"all": [True] * len(test)}, facts)
    corpus = open_corpus(Path(config.data), cache)
    train_indices, test = split(config, corpus)
    if with_landmarks(config) and not corpus.confidence[train_indices].any():
        raise InputError(
            f"--landmarks, but no landmark is known for any photograph of {config.data}; put a landmarks_68.csv beside "
            "them, or install the detector: pip install mofa3d[landmarks]"
        )
    failures = corpus.failures
    list_failures(config.out / FAILURES, failures)
    facts = {
        "data": f"{config.data}: {len(corpus)} faces, {measured(config, test)}",
        "left out": f"{len(failures)} photographs; [{FAILURES}]({FAILURES}) lists them with their reasons",
    }
    return Images(corpus, train_indices, test, photo_groups(corpus, test, decode.model), facts)


def split(config: Config, corpus: Corpus) -> tuple[list[int], list[int]]:
    """Indices to train on and to hold out: the corpus's own choice, or another share."""
    out = corpus.held_out.tolist()
    if config.held_out is not None:
        out = held_out(corpus.identities, config.held_out, config.seed)
    train_indices, test = train_and_test(corpus.identities, out, config.data)
    return train_indices, spread(test, config.report_images or len(test))


def measured(config: Config, test: list[int]) -> str:
    """How many images the report measures, in words."""
    return f"{len(test)} of the held-out ones measured" if config.report_images else f"{len(test)} held out"


def photo_stream(
    dataset: Corpus, shown: list[int], batch_size: int, image_size: int, config: Config
) -> Callable[[int], Iterator[dict[str, torch.Tensor]]]:
    """Endless batches from an iteration on: out of a GPU's memory if they fit there, else read while it trains."""
    if fits_in_memory(len(set(shown)), image_size, config.device):
        faces = ResidentFaces(dataset, shown, config.device)
        return partial(faces.batches, shown, batch_size, config.seed, changes=config.augment)
    options = {"changes": config.augment, "shards": dataset.shards_of(shown), "device": config.device}
    return partial(batches, dataset, shown, batch_size, config.seed, **options)


def main(config: Config) -> None:
    settings = training_config(config)
    render_options = {"area_weights": True} if config.renderer == "vertex" and settings.loss.background_cost else {}
    render = make_renderer(config.renderer, **render_options)
    check_device(config.device)
    settings = replace(settings, bfloat16=bfloat16_or_float32(settings.bfloat16, config.device))
    keep_freed_memory()
    torch.manual_seed(config.seed)
    about = description(config)
    model = about.load_model()
    about = replace(about, fingerprint=model.fingerprint())
    weights = None if config.encoder_weights == "none" else config.encoder_weights
    encoder = about.make_encoder(model, weights).to(config.device)
    if config.start is not None:
        start_from(encoder, about, config.start)
    with claim_folder(config.out, config.resume):
        whole = Decoder(model, Camera(about.image_size))
        images = load_images(config, whole)
        # Only frontal vertices enter the vertex loss, so only they (and what their normals need) are decoded for it.
        frontal = Decoder(model.restrict(model.frontal), whole.camera).to(config.device)
        decode = frontal if config.renderer == "vertex" else Decoder(model, whole.camera).to(config.device)
        fused = None
        if config.renderer == "vertex":
            fused = make_vertex_loss(model, whole.camera, config.device, **render_options)

        version = commit()  # before the training, during which the repository may change
        record = {"config": config, "training": settings, "description": about}
        record = {**{name: asdict(value) for name, value in record.items()}, "commit": version}
        write_text(config.out / "config.json", json.dumps(record, indent=1, default=str) + "\n")

        shown = repeat_evenly(images.train, images.dataset.sources) if config.even_sources else images.train
        stream = photo_stream(images.dataset, shown, settings.batch_size, about.image_size, config)
        progress = train(encoder, decode, render, stream, settings, config.out, about.to_dict(), config.resume, fused)

        facts = {
            **images.facts,
            "training": f"{progress.describe(settings.batch_size)}, "
            f"{settings.optimizer}, {'with' if settings.loss.landmark else 'without'} the landmark surrogate, "
            f"background cost {settings.loss.background_cost:g}",
            "renderer": config.renderer,
            "encoder": f"{about.encoder} at {about.input_size or about.image_size} px",
            "commit": version,
        }
        report(config.out, images, facts, encoder.eval(), frontal, whole)


def report(
    out: Path, images: Images, facts: dict[str, str], encoder: Encoder, frontal: Decoder, whole: Decoder
) -> None:
    """Measure on what was held out, draw, write meshes, and print the table."""
    measure = partial(
        evaluate, decode=frontal, render=make_renderer("vertex"), dataset=images.dataset, indices=images.test
    )
    found = Report("MoFA training report", facts, images.groups, measure(average_face(frontal)), measure(encoder))
    draw_curves(out / "metrics.jsonl", out / "curves.png")
    encoder, whole = encoder.cpu(), whole.cpu()  # pictures are drawn by the CPU's rasterizer
    draw_faces(encoder, whole, make_renderer("cpu"), images.dataset, spread(images.test, 16), out / "faces.png")
    path = found.write(out, write_meshes(encoder, whole, images.dataset, spread(images.test, 3), out))
    print(found.table(), f"\nThe report is {path}")


if __name__ == "__main__":
    program.run(main, Config, __doc__, errors=(DivergenceError,), stopped=lambda config: how_to_go_on(config.out))
