"""Train a convolutional decoder from code to pixels on synthetic faces, in place of the parametric one (Fig. 14).

    python experiments/train_conv_decoder.py --out runs/conv_decoder
    python experiments/train_conv_decoder.py --data SYNTHETIC --image-size 112   # from `mofa3d synthesize`

The loss covers only the face, because the backgrounds of synthetic faces are random. Writes checkpoint.pt, config.json,
metrics.jsonl, TensorBoard's files, report.md and its pictures into --out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mofa3d.cli import program
from mofa3d.data.batches.augment import AugmentConfig
from mofa3d.data.corpus.open import require_codes
from mofa3d.encoders.checkpoint import how_to_go_on
from mofa3d.environment.cache_folder import cache_directory
from mofa3d.environment.machine import commit
from mofa3d.environment.processes import join
from mofa3d.evaluation.comparison.networks.conv_autoencoder import ConvDescription, LearnedDecoder
from mofa3d.evaluation.comparison.pixels.errors import color_distance
from mofa3d.evaluation.comparison.pixels.evaluate import PixelView
from mofa3d.evaluation.comparison.pixels.report import report_network
from mofa3d.evaluation.comparison.run_config import RunConfig, train_network, write_record
from mofa3d.objective import Batch
from mofa3d.renderers import make_renderer
from mofa3d.training.checkpoint import claim_folder
from mofa3d.training.loop import Step
from mofa3d.training.progress import DivergenceError


@dataclass(frozen=True)
class Config(RunConfig):
    out: Path = Path("runs/conv_decoder")
    image_size: int = 240
    """Width and height of the network's images; a multiple of 16."""


def main(config: Config) -> None:
    processes = join(config.device, config.batch_size)
    torch.manual_seed(config.seed)
    model = config.load_model()
    about = ConvDescription("conv_decoder", config.image_size, model.sizes.total)
    network = LearnedDecoder(about.image_size, about.code_size).to(processes.device)
    with claim_folder(config.out, config.resume, processes=processes) as resume:
        faces = config.open_faces(model, make_renderer("cpu", antialias=False), cache_directory())
        require_codes(faces.dataset, model, config.data)
        network.normalize_for(faces.dataset.codes[faces.train])
        view, version = PixelView.of(model, about.image_size), commit()
        if processes.leads:
            write_record(config.out, config, about.to_dict(), version)

        def step(batch: Batch, _iteration: int) -> Step:
            seen = view(batch)
            loss = color_distance(network(seen["code"]), seen["image"], seen["region"])
            return Step({"photometric": loss}, loss.mean())

        # A mirrored face has another code than its original.
        changes = AugmentConfig(mirror=0.0)
        progress = train_network(network, step, faces, config, about.to_dict(), changes, resume, processes)
        if not processes.leads:
            return

        network = network.cpu().eval()
        facts = {
            "data": faces.fact,
            "training": progress.describe(config.batch_size),
            "network": f"codes of {about.code_size} to {about.image_size} px; the loss and the first error are the "
            "face's",
            "commit": version,
        }

        def predict(batch: Batch) -> Tensor:
            return network(batch["code"])

        title, name, reached = "Learned convolutional decoder", "learned decoder", progress.numbers(config.batch_size)
        print(report_network(title, name, predict, facts, reached, faces, view, config.out))


if __name__ == "__main__":
    program.run(main, Config, __doc__, errors=(DivergenceError,), stopped=lambda config: how_to_go_on(config.out))
