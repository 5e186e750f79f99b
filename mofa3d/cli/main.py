"""Turn photographs and videos into 3D faces, edit them, view them, and prepare data for training."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import OmitArgPrefixes, Positional, arg, subcommand

from mofa3d import __version__
from mofa3d.cli.edit import Edit
from mofa3d.cli.examples import Examples
from mofa3d.cli.export_encoder import ExportEncoder
from mofa3d.cli.model import ModelCommand
from mofa3d.cli.program import refuse_empty
from mofa3d.cli.reconstruct import Reconstruct
from mofa3d.cli.streams import lasting_streams, say, shown_logs, warn_in_one_line
from mofa3d.cli.view import ViewCommand
from mofa3d.data.corpus.config import Engine, PrepareConfig
from mofa3d.data.corpus.synthetic_config import SyntheticConfig
from mofa3d.errors import InputError
from mofa3d.numeric_options import check_numbers, check_ranges
from mofa3d.training.interruption import as_ctrl_c, status_of


@dataclass(frozen=True)
class Prepare:
    """Prepare a training corpus: find faces and landmarks in photographs, and write crops."""

    sources: Annotated[Positional[tuple[str, ...]], arg(metavar="SOURCE...")]
    """Folders, photographs, videos, .tar shards (WebDataset) and glob patterns."""
    out: Annotated[Path, arg(metavar="CORPUS")]
    """Folder to write; an existing corpus is brought up to date."""
    config: Annotated[PrepareConfig, arg(name="")] = field(default_factory=PrepareConfig)
    workers: int | None = None
    """Number of processes; by default one per core, of this machine or of the cluster."""
    engine: Engine = "local"
    """"ray" examines photographs on a Ray cluster (extra ray): that of RAY_ADDRESS, else one started on this machine.
    The corpus is the same; all machines need the photographs at the same path."""

    def __post_init__(self) -> None:
        check_ranges(self, workers=(1, 100_000))

    def __call__(self) -> str:
        from mofa3d.data.corpus.prepare import prepare
        from mofa3d.data.corpus.report import REPORT

        corpus = prepare(self.sources, self.out, self.config, self.workers, engine=self.engine)
        counts = corpus.summary["counts"]
        removed = "".join(f", {number} {rule}" for rule, number in counts["removed"].items())
        return (
            f"{counts['faces']} faces from {counts['photographs']} photographs ({counts['duplicates']} duplicates"
            f"{removed})\nThe report is {self.out / REPORT}"
        )


@dataclass(frozen=True)
class Synthesize:
    """Render random faces of the face model, with their true codes and landmarks."""

    out: Annotated[Path, arg(metavar="CORPUS")]
    """Folder to write; an existing one is completed."""
    config: Annotated[SyntheticConfig, arg(name="")] = field(default_factory=SyntheticConfig)
    model: str = "makehuman"
    """Name of the face model."""
    model_path: str = ""
    """File or folder to read the face model from; may be a .safetensors file written by mofa3d."""
    image_size: int = 240
    """Width and height of the images, in pixels."""
    engine: Engine = "local"
    """"ray" renders on a Ray cluster (extra ray): that of RAY_ADDRESS, else one started on this machine. The corpus is
    the same."""

    def __post_init__(self) -> None:
        check_ranges(self, image_size=(16, 4096))

    def __call__(self) -> str:
        from mofa3d.camera import Camera
        from mofa3d.data.corpus.synthetic import synthesize
        from mofa3d.decoder import Decoder
        from mofa3d.models import load_model
        from mofa3d.renderers import make_renderer

        decode = Decoder(load_model(self.model, path=self.model_path or None), Camera(self.image_size))
        corpus = synthesize(self.config, decode, make_renderer("cpu", antialias=False), self.out, self.engine)
        return f"{len(corpus)} faces in {self.out}"


Command = (
    Annotated[Reconstruct, subcommand("reconstruct")]
    | Annotated[Prepare, subcommand("prepare")]
    | Annotated[Synthesize, subcommand("synthesize")]
    | Annotated[ModelCommand, subcommand("model")]
    | Annotated[Edit, subcommand("edit")]
    | Annotated[ViewCommand, subcommand("view")]
    | Annotated[ExportEncoder, subcommand("export-encoder")]
    | Annotated[Examples, subcommand("examples")]
)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    try:
        with lasting_streams(), shown_logs():
            return _run(arguments)
    except OSError as error:  # what was said could not be written
        say(f"error: {error}")
        return 2


def _run(arguments: list[str] | None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    if given == ["--version"]:
        print(f"mofa3d {__version__}")
        return 0
    try:
        refuse_empty(given)
        # Nested options check themselves while they are read, and tyro lets their InputErrors through.
        command = tyro.cli(OmitArgPrefixes[Command], args=arguments, prog="mofa3d", description=__doc__)
        check_numbers(command)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    warn_in_one_line()
    at_once = isinstance(command, ModelCommand | Edit | ViewCommand | Examples)
    try:
        with as_ctrl_c():
            print(command())
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as ended:
        print("stopped" if at_once else "stopped; run the same command again to continue", file=sys.stderr)
        return status_of(ended)
    return 0
