"""Train MoFA: an encoder that predicts a semantic code, supervised only by the photograph itself.

    python experiments/train_mofa.py --renderer=vertex                       # synthetic faces, ten minutes
    python experiments/train_mofa.py --data PHOTOS --minutes 30              # on a folder of photographs
    python experiments/train_mofa.py --data PHOTOS --landmarks --minutes 30  # with the landmark surrogate
    python experiments/train_mofa.py --data PHOTOS --preset paper --encoder alexnet --encoder-weights alexnet.pth
    torchrun --nproc-per-node 4 experiments/train_mofa.py --data CORPUS --resume auto --device cuda  # one card each

Writes checkpoint.pt, config.json, metrics.jsonl, TensorBoard's files and report.md into --out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from mofa3d import Camera, Decoder
from mofa3d.cli import program
from mofa3d.cli.overrides import apply_overrides, overrides_of
from mofa3d.cli.program import Flag
from mofa3d.data.batches.augment import AugmentConfig
from mofa3d.data.batches.stream import StreamConfig, batches
from mofa3d.data.corpus.open import SYNTHETIC, Faces, open_faces
from mofa3d.data.corpus.split import repeat_evenly, spread
from mofa3d.data.corpus.synthetic_config import SyntheticConfig
from mofa3d.data.failures import FAILURES, list_failures
from mofa3d.encoders.checkpoint import Description, how_to_go_on, start_from
from mofa3d.encoders.network import Encoder
from mofa3d.environment.cache_folder import cache_directory
from mofa3d.environment.machine import commit
from mofa3d.environment.memory import fits_in_memory, keep_freed_memory
from mofa3d.environment.processes import ALONE, Processes, join
from mofa3d.errors import InputError
from mofa3d.files.whole import write_text
from mofa3d.morphable_model import MorphableModel
from mofa3d.objective import LossWeights
from mofa3d.renderers import make_renderer
from mofa3d.scene import Rendering, Scene
from mofa3d.semantic_code import OutputScales
from mofa3d.training.checkpoint import claim_folder
from mofa3d.training.mofa import TrainingConfig, make_formation, train
from mofa3d.training.progress import DivergenceError
from mofa3d.training.resume_option import Resume

PAPER = TrainingConfig()
QUICK = TrainingConfig(
    iterations=100_000,
    minutes=10.0,
    batch_size=24,
    optimizer="adam",
    learning_rate=3e-4,
    depth_learning_rate=2e-4,
    decay=True,
    # While the colors are still wrong, a face shrinks: with 150, the area ratio fell to 0.82 after 300 steps, and rose
    # slowly afterwards.
    freeze_geometry=450,
    # Geometry needs a strong prior without landmarks: at 1e-4, cheeks and chins go where the colors fit best, and the
    # landmark error of frontal faces ends above its start.
    loss=LossWeights(regularizer=3e-4, coloured_light=0.5, background_cost=0.14),
)
QUICK_LANDMARKS = replace(
    QUICK,
    freeze_geometry=150,
    loss=LossWeights(regularizer=1e-4, coloured_light=0.5, landmark=1.0, lip_closure=5.0),
)

BY_TARGETS = replace(
    QUICK,
    freeze_geometry=0,  # the geometry does not wait for the colors
    loss=LossWeights(
        regularizer=1e-5, coloured_light=0.5, points=1.0, openings=5.0, geometry=0.05, tone=5.0, background_cost=0.12
    ),
)

IDENTITY = 3.0  # weight of the identity loss

TRAINING = overrides_of(
    TrainingConfig,
    [
        "iterations",
        "minutes",
        "batch_size",
        "optimizer",
        "learning_rate",
        "depth_learning_rate",
        "freeze_geometry",
        "bfloat16",
        "step_in_backward",
        "checkpoint_every",
        "checkpoint_minutes",
        "keep_last",
        "keep_best",
    ],
)
LOSS = overrides_of(
    LossWeights,
    (
        "photometric",
        "background_cost",
        "regularizer",
        "fitted_photometric",
        "points",
        "openings",
        "geometry",
        "tone",
        "identity",
    ),
)


@dataclass(frozen=True)
class Config(LOSS, TRAINING):
    """Options that are None follow the preset."""

    renderer: str = "vertex"
    """Renderer: vertex (as in the paper), cpu, pytorch3d, nvdiffrast, or an entry point."""
    data: str = "synthetic"
    """"synthetic", a folder of photographs (searched recursively), a corpus of `mofa3d prepare` or its URL, or
    shards to stream: their folder, a pattern as 's3://bucket/part-*/shards/*.tar', or '{000000..000123}.tar'."""
    preset: Literal["quick", "paper"] = "quick"
    """"paper": AdaDelta, batches of 5, Eq. 8 as printed. "quick": Adam, batches of 24, a background cost."""
    out: Path = Path("runs/default")
    """Folder for all files that this training writes."""
    landmarks: Flag = False
    """Also train with the landmark surrogate loss (Eq. 9); the default for synthetic faces."""
    targets: Path | None = None
    """Also train with what `experiments/fit_corpus.py` wrote about the corpus: points of the whole face, lids and lips,
    a geometry that photographs of one person share, and the tone of their skin."""
    embeddings: Path | None = None
    """Also train features that tell what a recognition network says of the faces (weight --identity), as
    `experiments/embed_corpus.py` wrote it about the corpus."""
    no_landmarks: Flag = False
    """Train without the landmark surrogate on synthetic faces, too."""
    encoder: str | None = None
    """Network: alexnet, vgg_face, mobilenet_v2 or resnet50."""
    encoder_weights: str = "auto"
    """File of pretrained weights, "auto" (ImageNet for mobilenet_v2) or "none"."""
    start: Path | None = None
    """Start from the encoder of another training: its folder, or its checkpoint."""
    input_size: int | None = None
    """Width and height of the encoder's input in pixels; 0 means that of the crop."""
    model: str = "makehuman"
    model_path: str = ""
    """File or folder to read the face model from; may be a .safetensors file written by mofa3d."""
    scales: OutputScales = field(default_factory=OutputScales)
    """Scale of the network's output for each block of the code."""
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    streaming: StreamConfig = field(default_factory=StreamConfig)
    """How shards are streamed."""
    even_sources: Flag = False
    """Show photographs from smaller sources of a corpus more often, so that all sources are seen about equally
    often."""
    held_out: float | None = None
    """Fraction of identities (or synthetic faces) to hold out for the report; by default as the corpus defines it."""
    report_images: int = 0
    """Number of held-out images in the report, evenly spread; 0 means all."""
    resume: Resume = False
    """Continue from the checkpoint in --out; with "auto", only if there is one."""
    seed: int = 0
    device: str = "cpu"


def with_landmarks(config: Config) -> bool:
    """Whether the surrogate is on.

    Synthetic faces fit the model so well that a background cost that suits photographs makes unsupervised faces grow
    without end (landmark error 17 -> 108 px in five minutes at 0.18).
    """
    if config.landmarks and config.no_landmarks:
        raise InputError("--landmarks and --no-landmarks cannot be combined; give only one of them")
    by_default = config.data == SYNTHETIC and config.preset == "quick"
    return config.landmarks or (by_default and not config.no_landmarks)


def training_config(config: Config) -> TrainingConfig:
    """The preset with what was asked for on top."""
    landmarks = with_landmarks(config)
    if config.targets is not None and (config.data == SYNTHETIC or config.preset == "paper" or landmarks):
        raise InputError(
            "--targets belong to a corpus of photographs (--data), whose points they have, and to the preset quick; "
            "leave --landmarks and --preset paper out"
        )
    if config.embeddings is not None and config.data == SYNTHETIC:
        raise InputError("--embeddings belong to a corpus of photographs (--data); synthetic faces have none")
    if config.preset == "paper":
        preset = replace(PAPER, loss=replace(PAPER.loss, landmark=float(landmarks)))
    else:
        preset = BY_TARGETS if config.targets is not None else QUICK_LANDMARKS if landmarks else QUICK
    implied = {}
    if config.start is not None:
        implied["freeze_geometry"] = 0  # its colors are not wrong any more
    if config.iterations is not None:
        implied["minutes"] = 0.0  # a number of iterations means just that
    if config.embeddings is not None:
        preset = replace(preset, loss=replace(preset.loss, identity=IDENTITY))
    loss = apply_overrides(preset.loss, config)
    if loss.identity and config.embeddings is None:
        raise InputError("--identity needs --embeddings, a file of embed_corpus.py")
    if loss.by_targets and config.targets is None:
        raise InputError("--points, --openings, --geometry and --tone need --targets, a file of fit_corpus.py")
    return apply_overrides(replace(preset, **implied, loss=loss), config)


def description(config: Config) -> Description:
    """What the checkpoint will say about the encoder."""
    name = config.encoder or ("alexnet" if config.preset == "paper" else "mobilenet_v2")
    size = config.input_size if config.input_size is not None else (0 if config.preset == "paper" else 112)
    path = str(Path(config.model_path).resolve()) if config.model_path else ""
    return Description(config.model, path, encoder=name, input_size=size or None, scales=config.scales)


def open_data(config: Config, model: MorphableModel, processes: Processes = ALONE) -> Faces:
    """Synthetic faces, a prepared corpus, or the photographs of a folder, whose failures are listed."""
    chosen = (config.held_out, config.seed, config.report_images)
    faces = open_faces(config.data, config.synthetic, model, draw, cache_directory(), *chosen, config.streaming)
    if faces.stream is not None and (
        config.targets is not None or config.embeddings is not None or config.even_sources
    ):
        raise InputError(
            "--targets, --embeddings and --even-sources need the index of a corpus, which shards alone do not have"
        )
    if with_landmarks(config) and not faces.has_landmarks:
        raise InputError(
            f"--landmarks, but no landmark is known for any photograph of {config.data}; put a landmarks_68.csv beside "
            "them, or install the detector: pip install mofa3d[landmarks]"
        )
    if config.data != SYNTHETIC and processes.leads:
        list_failures(config.out / FAILURES, faces.dataset.failures)
    if config.targets is not None:
        from mofa3d.data.corpus.targets import read_targets

        faces.dataset.targets = read_targets(config.targets, faces.dataset.photos, model.fingerprint())
    if config.embeddings is not None:
        from mofa3d.data.corpus.embeddings import read_embeddings

        faces.dataset.embeddings = read_embeddings(config.embeddings, faces.dataset.photos)
    return faces


def draw(scene: Scene) -> Rendering:
    """A synthetic face; the rasterizer is loaded for the first one that is not in the cache."""
    return make_renderer("cpu", antialias=False)(scene)


def photo_stream(
    faces: Faces, batch_size: int, image_size: int, config: Config, processes: Processes
) -> Callable[[int], Iterator[dict[str, torch.Tensor]]]:
    """Endless batches from an iteration on: out of a GPU's memory if they fit there, else read while it trains."""
    device, changes = processes.device, config.augment
    if faces.stream is not None:
        share = {"rank": processes.rank, "world": processes.count}
        return partial(faces.stream.batches, batch_size, config.seed, changes=changes, device=device, **share)
    shown = repeat_evenly(faces.train, faces.dataset.sources) if config.even_sources else faces.train
    dataset = faces.dataset
    if config.streaming.unreadable == "skip":
        from mofa3d.data.streaming.readable_faces import ReadableFaces

        dataset = ReadableFaces(faces.dataset, shown)
    fits = fits_in_memory(len(set(shown)) * 3 * image_size**2, device)
    if all(found for (found,) in processes.gather(fits)):  # the order of photographs depends on it
        from mofa3d.data.batches.on_gpu import ResidentFaces

        resident = ResidentFaces(dataset, shown, device)
        return partial(resident.batches, shown, batch_size, config.seed, changes=changes, processes=processes)
    options = {"changes": changes, "device": device, "processes": processes}
    options["shards"] = faces.dataset.shards_of(shown)
    return partial(batches, dataset, shown, batch_size, config.seed, **options)


def main(config: Config) -> None:
    settings = training_config(config)
    render = make_renderer(config.renderer)
    processes = join(config.device, settings.batch_size)
    device = processes.device
    if settings.bfloat16:
        from mofa3d.environment.instruction_sets import bfloat16_or_float32

        settings = replace(settings, bfloat16=bfloat16_or_float32(True, device))
    keep_freed_memory()
    torch.manual_seed(config.seed)
    about = description(config)
    model = about.load_model()
    about = replace(about, fingerprint=model.fingerprint())
    weights = None if config.encoder_weights == "none" else config.encoder_weights
    encoder = about.make_encoder(model, weights).to(device)
    if config.start is not None:
        start_from(encoder, about, config.start)
    with claim_folder(config.out, config.resume, processes=processes) as resume:
        camera = Camera(about.image_size)
        faces = open_data(config, model, processes)
        if faces.dataset.embeddings is not None:
            encoder.add_recognizer(faces.dataset.embeddings.values.shape[1])
        decode, render, fused = make_formation(render, model, camera, device, settings.loss.background_cost)

        losses = None
        if settings.loss.by_targets:
            from mofa3d.models.makehuman import dense_landmarks
            from mofa3d.training.target_losses import TargetLosses

            losses = TargetLosses(model, dense_landmarks(), camera, device)

        version = commit()  # before the training, during which the repository may change
        record = {"config": config, "training": settings, "description": about}
        record = {**{name: asdict(value) for name, value in record.items()}, "commit": version}
        if processes.leads:
            write_text(config.out / "config.json", json.dumps(record, indent=1, default=str) + "\n")

        stream = photo_stream(faces, settings.batch_size, about.image_size, config, processes)
        progress = train(
            encoder, decode, render, stream, settings, config.out, about.to_dict(), resume, fused, losses,
            faces.fingerprints(), processes,
        )  # fmt: skip
        if not processes.leads:
            return

        facts = {"data": faces.fact}
        if config.data != SYNTHETIC:
            count = len(faces.dataset.failures)
            facts["left out"] = f"{count} photographs; [{FAILURES}]({FAILURES}) lists them with their reasons"
        facts |= {
            "training": f"{progress.describe(settings.batch_size)}, "
            f"{settings.optimizer}, {'with' if settings.loss.landmark else 'without'} the landmark surrogate, "
            f"background cost {settings.loss.background_cost:g}",
            "renderer": config.renderer,
            "encoder": f"{about.encoder} at {about.input_size or about.image_size} px",
            "commit": version,
        }
        reached = progress.numbers(settings.batch_size)
        report(config, faces, facts, reached, encoder.eval(), Decoder(model, camera))


def report(
    config: Config,
    faces: Faces,
    facts: dict[str, str],
    reached: dict[str, float],
    encoder: Encoder,
    whole: Decoder,
) -> None:
    """Measure on what was held out, draw, write meshes, and print the table."""
    from mofa3d.evaluation.errors import average_face, evaluate  # here: a training needs none of it
    from mofa3d.evaluation.groups import photo_groups
    from mofa3d.evaluation.training_report import (
        BeforeAndAfter,
        draw_curves,
        draw_faces,
        training_report,
        write_meshes,
    )

    out, dataset, model = config.out, faces.dataset, whole.model
    groups = faces.groups if config.data == SYNTHETIC else photo_groups(dataset, faces.test, model)
    frontal = Decoder(model.restrict(model.frontal), whole.camera).to(next(encoder.parameters()).device)
    measure = partial(evaluate, decode=frontal, render=make_renderer("vertex"), dataset=dataset, indices=faces.test)
    found = BeforeAndAfter(groups, measure(average_face(frontal)), measure(encoder))
    draw_curves(out / "metrics.jsonl", out / "curves.png")
    encoder = encoder.cpu()  # pictures are drawn by the CPU's rasterizer
    draw_faces(encoder, whole, make_renderer("cpu"), dataset, spread(faces.test, 16), out / "faces.png")
    meshes = write_meshes(encoder, whole, dataset, spread(faces.test, 3), out)
    path = training_report("MoFA training report", facts, reached, found, meshes).write(out)
    print(found.table(), f"\nThe report is {path}")


if __name__ == "__main__":
    program.run(main, Config, __doc__, errors=(DivergenceError,), stopped=lambda config: how_to_go_on(config.out))
