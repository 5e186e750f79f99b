"""Train the iterative regressor of Richardson et al. 2016/17 (coarse network): supervised, on synthetic faces only.

    python experiments/train_regressor.py --out runs/richardson
    python experiments/train_regressor.py --photographs CORPUS --feedback depth   # also report on photographs

It predicts pose, shape and expression. For the photometric error, it is given the average reflectance and the light
that fits each photograph best, and so is the average face that it is compared with. Writes checkpoint.pt, config.json,
metrics.jsonl, TensorBoard's files, report.md, pictures and meshes into --out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from mofa3d import Camera, Decoder, SemanticCode
from mofa3d.cli import program
from mofa3d.data.batches.augment import AugmentConfig
from mofa3d.data.corpus.open import open_corpus, require_codes
from mofa3d.data.corpus.split import spread, train_and_test
from mofa3d.encoders.checkpoint import how_to_go_on
from mofa3d.environment.cache_folder import cache_directory
from mofa3d.environment.machine import commit
from mofa3d.environment.processes import join
from mofa3d.evaluation.comparison.networks.light import with_light
from mofa3d.evaluation.comparison.networks.richardson import (
    IterativeRegressor,
    RegressorDescription,
    draw_feedback,
    geometry_gram,
    regression_losses,
)
from mofa3d.evaluation.comparison.run_config import RunConfig, train_network, write_record
from mofa3d.evaluation.errors import average_face, evaluate
from mofa3d.evaluation.training_report import (
    BeforeAndAfter,
    draw_curves,
    draw_faces,
    training_report,
    write_meshes,
)
from mofa3d.objective import Batch
from mofa3d.renderers import make_renderer
from mofa3d.semantic_code import OutputScales
from mofa3d.training.checkpoint import claim_folder
from mofa3d.training.loop import Step
from mofa3d.training.progress import DivergenceError

CURVES = {"geometry": "geometry, all iterations (mm²)", "pose": "pose, all iterations", "last": "geometry, last (mm²)"}
SHOWN, MESHES = 16, 3


@dataclass(frozen=True)
class Config(RunConfig):
    out: Path = Path("runs/richardson")
    learning_rate: float = 3e-4
    geometry: float = 0.02
    """Weight of the mean squared vertex distance (mm²)."""
    pose: float = 1.0
    """Weight of the squared error of the pose, in units of `scales`."""
    refinements: int = 3
    """Number of times the network refines its own prediction, beginning with the average face."""
    feedback: Literal["normals", "depth"] = "normals"
    """What is rendered of the prediction and fed back to the network."""
    encoder: str = "mobilenet_v2"
    encoder_weights: str = "auto"
    """File of pretrained weights, "auto" (ImageNet for mobilenet_v2) or "none"."""
    input_size: int = 112
    scales: OutputScales = field(default_factory=OutputScales)
    photographs: str = ""
    """A folder or corpus of photographs to report on as well; they are not trained on."""


def main(config: Config) -> None:
    processes = join(config.device, config.batch_size)
    torch.manual_seed(config.seed)
    model = config.load_model()
    path = str(Path(config.model_path).resolve()) if config.model_path else ""
    about = RegressorDescription(
        config.model, path, model.fingerprint(), config.encoder, config.input_size, config.refinements,
        config.feedback, config.scales,
    )  # fmt: skip
    raster = make_renderer("cpu", antialias=False)
    face = model.restrict(model.frontal)
    draw = draw_feedback(config.feedback, Decoder(face, Camera(config.input_size)), raster)
    weights = None if config.encoder_weights == "none" else config.encoder_weights
    network = IterativeRegressor(about, model.sizes, draw, weights).to(processes.device)
    with claim_folder(config.out, config.resume, processes=processes) as resume:
        faces = config.open_faces(model, raster, cache_directory())
        require_codes(faces.dataset, model, config.data)
        version = commit()
        if processes.leads:
            write_record(config.out, config, about.to_dict(), version)
        gram = geometry_gram(model).to(processes.device)

        def step(batch: Batch, _iteration: int) -> Step:
            true = SemanticCode.from_vector(batch["code"], model.sizes)
            answers = [SemanticCode.from_vector(code, model.sizes) for code in network.estimates(batch["image"])]
            losses = [regression_losses(code, true, gram, config.scales) for code in answers]
            terms = {name: sum(loss[name] for loss in losses) / len(losses) for name in losses[0]}
            total = config.geometry * terms["geometry"].mean() + config.pose * terms["pose"].mean()
            return Step(terms, total, lambda: {"last": losses[-1]["geometry"]})

        # A mirrored face has another code than its original.
        changes = AugmentConfig(mirror=0.0)
        progress = train_network(network, step, faces, config, about.to_dict(), changes, resume, processes)
        if not processes.leads:
            return

        frontal, whole = Decoder(face, Camera()), Decoder(model, Camera())
        start, encode = (with_light(e, frontal) for e in (average_face(frontal), network.cpu().eval()))
        measure = partial(evaluate, decode=frontal, render=make_renderer("vertex"))
        facts = {
            "data": faces.fact,
            "training": f"{progress.describe(config.batch_size)}, supervised by the true codes",
            "network": f"{about.encoder} at {about.input_size} px, {about.iterations} times, feedback: "
            f"{about.feedback}",
            "colors": "average reflectance, light by least squares on each photograph, before and after",
            "commit": version,
        }
        tests = {"synthetic": (faces.dataset, faces.test)}
        if config.photographs:
            corpus = open_corpus(Path(config.photographs), cache_directory())
            _, held = train_and_test(corpus.identities, corpus.held_out.tolist(), config.photographs)
            tests["photographs"] = (corpus, held)
        for name, (dataset, indices) in tests.items():
            out = config.out if name == "synthetic" else config.out / name
            out.mkdir(exist_ok=True)
            before, after = (measure(e, dataset=dataset, indices=indices) for e in (start, encode))
            found = BeforeAndAfter({"all": [True] * len(indices)}, before, after)
            draw_curves(config.out / "metrics.jsonl", out / "curves.png", CURVES)
            shown = [spread(indices, count) for count in (SHOWN, MESHES)]
            draw_faces(encode, whole, make_renderer("cpu"), dataset, shown[0], out / "faces.png")
            meshes = write_meshes(encode, whole, dataset, shown[1], out)
            reached = progress.numbers(config.batch_size)
            path = training_report(f"Iterative regressor, {name}", facts, reached, found, meshes).write(out)
            print(found.table(), f"\nThe report is {path}")


if __name__ == "__main__":
    program.run(main, Config, __doc__, errors=(DivergenceError,), stopped=lambda config: how_to_go_on(config.out))
