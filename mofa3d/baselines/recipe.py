"""What every training of a compared system shares: options, data and record."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import nn

from mofa3d.camera import Camera
from mofa3d.data.corpus import Corpus
from mofa3d.data.folder import open_corpus
from mofa3d.data.split import held_out, spread, train_and_test
from mofa3d.data.synthetic import SyntheticConfig, fingerprint_of, synthesize
from mofa3d.decoder import Decoder
from mofa3d.models import load_model
from mofa3d.morphable_model import MorphableModel
from mofa3d.numeric_options import MOST, check_ranges
from mofa3d.scene import Renderer
from mofa3d.whole_files import write_text

SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class RunConfig:
    """Options of every program that trains a compared system."""

    data: str = SYNTHETIC
    """"synthetic", a folder of photographs (searched recursively), or a prepared corpus."""
    out: Path = Path("runs/baseline")
    """Folder for everything this training writes."""
    iterations: int = 1_000_000
    minutes: float = 10.0
    """End after this time or after the iterations, whichever comes first; 0 means no limit in time."""
    batch_size: int = 16
    learning_rate: float = 1e-3
    """Of Adam."""
    decay: bool = True
    """Let the rate fall along a half cosine to a twentieth."""
    log_every: int = 10
    checkpoint_every: int = 500
    """Steps after which a checkpoint is written; 0 means never."""
    checkpoint_minutes: float = 5.0
    """Minutes after which one is written, if that comes first; 0 means never."""
    held_out: float | None = None
    """Fraction of identities (or synthetic faces) that are kept for the report, instead of the corpus's own choice."""
    report_images: int = 0
    """Held-out images, evenly spread, that the report measures; 0 means all."""
    model: str = "makehuman"
    model_path: str = ""
    """File of a face model written by mofa3d, instead of a built-in one."""
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    resume: bool = False
    """Go on from the checkpoint in --out."""
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.batch_size < 1:
            raise ValueError(
                f"iterations and batch_size must be at least 1, got {self.iterations} and {self.batch_size}"
            )
        check_ranges(
            self,
            minutes=(0, MOST),
            learning_rate=(0, 1000),
            log_every=(1, MOST),
            checkpoint_every=(0, MOST),
            checkpoint_minutes=(0, MOST),
            held_out=(0, 1),
            report_images=(0, MOST),
        )

    def load_model(self) -> MorphableModel:
        return load_model(self.model, path=self.model_path or None)


@dataclass(frozen=True)
class Faces:
    """Data of one run.

    Attributes:
        dataset: all faces.
        train, test: indices to train on and to report on.
        fact: what to say about them.
    """

    dataset: Corpus
    train: list[int]
    test: list[int]
    fact: str

    @property
    def groups(self) -> dict[str, list[bool]]:
        """Rows of a table of the held-out faces: all of them, and each source if there are several."""
        sources = [self.dataset.sources[i] for i in self.test]
        names = sorted(set(sources))
        rows = {name: [source == name for source in sources] for name in names} if len(names) > 1 else {}
        return {"all": [True] * len(self.test), **rows}


def open_faces(config: RunConfig, model: MorphableModel, render: Renderer, cache: Path) -> Faces:
    """Synthetic faces (rendered when they are first asked for), a prepared corpus, or a folder of photographs.

    Args:
        config: what to open, and how to split it.
        model: of synthetic faces.
        render: a raster backend with a black background, for synthetic faces.
        cache: where what is made is kept.

    Raises:
        ValueError: nothing usable, or nothing left to train or to report on.
    """
    if config.data == SYNTHETIC:
        decode = Decoder(model, Camera())
        folder = cache / f"synthetic-{fingerprint_of(config.synthetic, decode)}"
        corpus = synthesize(config.synthetic, decode, render, folder)
    else:
        corpus = open_corpus(Path(config.data), cache)
    out = corpus.held_out.tolist()
    if config.held_out is not None:
        out = held_out(corpus.identities, config.held_out, config.seed)
    train, test = train_and_test(corpus.identities, out, config.data)
    fact = f"{config.data}: {len(corpus)} faces, {len(test)} held out"
    if config.report_images:
        test = spread(test, config.report_images)
        fact += f", {len(test)} of them measured"
    return Faces(corpus, train, test, fact)


def require_codes(corpus: Corpus, model: MorphableModel, name: str) -> None:
    """Fail where the true codes of the faces are not known.

    Args:
        corpus: the faces.
        model: whose codes they must be.
        name: of the data, for messages.

    Raises:
        ValueError: photographs, or faces of another model.
    """
    if corpus.codes is None:
        raise ValueError(
            f"{name} does not say the true codes of its faces; train on --data synthetic, or on a corpus of `mofa3d "
            "synthesize`"
        )
    if corpus.summary.get("model") != model.fingerprint():
        raise ValueError(
            f"the faces of {name} were rendered from another face model than {model.name!r}; give that model as "
            "--model-path, or synthesize them again"
        )


def write_record(out: Path, config: RunConfig, description: dict, version: str) -> None:
    """Write ``config.json``: options, what was trained, and the commit."""
    record = {"config": asdict(config), "description": description, "commit": version}
    write_text(out / "config.json", json.dumps(record, indent=1, default=str) + "\n")


def make_adam(network: nn.Module, config: RunConfig) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), lr=config.learning_rate, fused=True)
