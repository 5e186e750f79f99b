"""What every training of a compared system shares: options, data and record."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mofa3d.data.batches.augment import AugmentConfig
from mofa3d.data.batches.stream import batches
from mofa3d.data.corpus.open import SYNTHETIC, Faces, open_faces
from mofa3d.data.corpus.synthetic import SyntheticConfig
from mofa3d.environment.processes import ALONE, Processes
from mofa3d.files.whole import write_text
from mofa3d.models import load_model
from mofa3d.morphable_model import MorphableModel
from mofa3d.numeric_options import MOST, check_ranges
from mofa3d.scene import Renderer
from mofa3d.training.loop import Step, optimize
from mofa3d.training.progress import Progress, check_schedule
from mofa3d.training.resume_option import Resume


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """When the training of a compared system ends, logs and saves; a `mofa3d.training.progress.Schedule`."""

    iterations: int = 1_000_000
    minutes: float = 10.0
    """End after this time or after the iterations, whichever comes first; 0 means no time limit."""
    batch_size: int = 16
    """Images per step, of all processes together."""
    learning_rate: float = 1e-3
    """Learning rate of Adam."""
    decay: bool = True
    """Decay the learning rate along a half cosine to a twentieth."""
    log_every: int = 10
    checkpoint_every: int = 500
    """Steps that are lost at most when the process is killed: a checkpoint is begun every half as many; 0 means
    never."""
    checkpoint_minutes: float = 5.0
    """The same in minutes, if that comes first; 0 means never."""
    keep_last: int = 1
    """Number of latest checkpoints to keep; if it is more than 1, each is also checkpoint-ITERATION.pt."""
    keep_best: bool = False
    """Keep the checkpoint with the lowest mean loss of `checkpoint_every` steps as best.pt."""

    def __post_init__(self) -> None:
        check_schedule(self)


@dataclass(frozen=True, kw_only=True)
class RunConfig(ScheduleConfig):
    """Options of the programs that train a compared system on photographs or synthetic faces."""

    data: str = SYNTHETIC
    """"synthetic", a folder of photographs (searched recursively), or a prepared corpus."""
    out: Path = Path("runs/baseline")
    """Folder for all files that this training writes."""
    held_out: float | None = None
    """Fraction of identities (or synthetic faces) to hold out for the report; by default as the corpus defines it."""
    report_images: int = 0
    """Number of held-out images in the report, evenly spread; 0 means all."""
    model: str = "makehuman"
    model_path: str = ""
    """File of a face model written by mofa3d, instead of a built-in one."""
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    resume: Resume = False
    """Continue from the checkpoint in --out; with "auto", only if there is one."""
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, held_out=(0, 1), report_images=(0, MOST))

    def load_model(self) -> MorphableModel:
        return load_model(self.model, path=self.model_path or None)

    def open_faces(self, model: MorphableModel, render: Renderer, cache: Path) -> Faces:
        """The data; see `mofa3d.data.corpus.open.open_faces`."""
        chosen = (self.held_out, self.seed, self.report_images)
        return open_faces(self.data, self.synthetic, model, render, cache, *chosen)


def write_record(out: Path, config: RunConfig, description: dict, version: str) -> None:
    """Write ``config.json``: options, what was trained, and the commit."""
    record = {"config": asdict(config), "description": description, "commit": version}
    write_text(out / "config.json", json.dumps(record, indent=1, default=str) + "\n")


def train_network(
    network: nn.Module,
    step: Callable[[dict[str, Tensor], int], Step],
    faces: Faces,
    config: RunConfig,
    description: dict,
    changes: AugmentConfig,
    resume: bool,
    processes: Processes = ALONE,
) -> Progress:
    """Train with Adam as the options say, in the folder that they name; see `mofa3d.training.loop.optimize`.

    Args:
        network: what is trained.
        step: the losses of a batch.
        faces: the data.
        config: the options.
        description: of the network, for its checkpoints.
        changes: how images are changed at random.
        resume, processes: see `mofa3d.training.loop.optimize`.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, fused=True)
    options: dict[str, Any] = {
        "changes": changes,
        "shards": faces.dataset.shards_of(faces.train),
        "device": processes.device,
        "processes": processes,
    }
    stream = partial(batches, faces.dataset, faces.train, config.batch_size, config.seed, **options)
    data = faces.fingerprints()
    return optimize(network, optimizer, step, stream, config, config.out, description, resume, data, processes)
