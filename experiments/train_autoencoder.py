"""Train the convolutional autoencoder that the paper compares with (Fig. 13): no face model, only pixels.

    python experiments/train_autoencoder.py --data CORPUS --out runs/autoencoder          # 240 px, as in the paper
    python experiments/train_autoencoder.py --data CORPUS --image-size 112 --region crop  # faster; the whole crop

Writes checkpoint.pt, config.json, metrics.jsonl, TensorBoard's files, report.md and its pictures into --out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from mofa3d.cli import program
from mofa3d.data.batches.augment import AugmentConfig
from mofa3d.encoders.checkpoint import how_to_go_on
from mofa3d.environment.cache_folder import cache_directory
from mofa3d.environment.machine import commit
from mofa3d.environment.processes import join
from mofa3d.evaluation.comparison.networks.conv_autoencoder import ConvAutoencoder, ConvDescription
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
    out: Path = Path("runs/autoencoder")
    image_size: int = 240
    """Width and height of the network's images; a multiple of 16."""
    region: Literal["face", "crop"] = "face"
    """Part of the image in which the loss is computed."""


def main(config: Config) -> None:
    processes = join(config.device, config.batch_size)
    torch.manual_seed(config.seed)
    about = ConvDescription("autoencoder", config.image_size)
    network = ConvAutoencoder(about.image_size, about.code_size).to(processes.device)
    with claim_folder(config.out, config.resume, processes=processes) as resume:
        model = config.load_model()
        faces = config.open_faces(model, make_renderer("cpu", antialias=False), cache_directory())
        view, version = PixelView.of(model, about.image_size), commit()
        if processes.leads:
            write_record(config.out, config, about.to_dict(), version)

        def step(batch: Batch, _iteration: int) -> Step:
            seen = view(batch)
            photo, region = seen["image"], seen["region"]
            counted = region if config.region == "face" else torch.ones_like(region)
            loss = color_distance(network(photo), photo, counted)
            return Step({"photometric": loss}, loss.mean())

        progress = train_network(network, step, faces, config, about.to_dict(), AugmentConfig(), resume, processes)
        if not processes.leads:
            return

        network = network.cpu().eval()
        facts = {
            "data": faces.fact,
            "training": progress.describe(config.batch_size),
            "network": f"{about.image_size} px, code of {about.code_size}, loss on the {config.region}",
            "commit": version,
        }

        def predict(batch: Batch) -> Tensor:
            return network(batch["image"])

        reached = progress.numbers(config.batch_size)
        title, name = "Convolutional autoencoder", "convolutional autoencoder"
        print(report_network(title, name, predict, facts, reached, faces, view, config.out))


if __name__ == "__main__":
    program.run(main, Config, __doc__, errors=(DivergenceError,), stopped=lambda config: how_to_go_on(config.out))
