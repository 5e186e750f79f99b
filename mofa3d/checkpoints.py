"""Build an autoencoder from its description, and open one that was trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.encoders import Encoder, OutputScales, make_encoder
from mofa3d.given_files import naming_file
from mofa3d.locks import alone
from mofa3d.models import load_model
from mofa3d.morphable_model import MorphableModel
from mofa3d.numeric_options import check_kinds, check_ranges
from mofa3d.output_folder import take_folder
from mofa3d.settings import plain_settings
from mofa3d.training import CHECKPOINT_NAME, load_weights, read_checkpoint
from mofa3d.training_log import LOG_NAME
from mofa3d.weights import SHIPPED
from mofa3d.whole_files import remove_leftovers

SIDES = (1, 4096)  # pixels, of cameras' images and of what encoders see
MOST_CODE = 1e6  # of any number of a code, before a file counts as damaged


@dataclass(frozen=True)
class Description:
    """What must be known to build an encoder and its decoder again.

    Attributes:
        model, model_path: as `load_model` takes them; an empty path means none.
        fingerprint: of the model's numbers; filled in when a training starts.
        encoder: name of the network.
        input_size: see `Encoder`.
        scales: output scales.
        image_size: of the camera, pixels.
    """

    model: str = "makehuman"
    model_path: str = ""
    fingerprint: str = ""
    encoder: str = "mobilenet_v2"
    input_size: int | None = None
    scales: OutputScales = field(default_factory=OutputScales)
    image_size: int = 240

    def __post_init__(self) -> None:
        for name in ("model", "model_path", "fingerprint", "encoder"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"{name} is {getattr(self, name)!r}, expected text")
        check_kinds(asdict(self.scales), int | float)
        check_kinds({"image_size": self.image_size, "input_size": self.input_size or 1}, int)
        check_ranges(self, image_size=SIDES, input_size=SIDES)

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> Description:
        """Raises ValueError for fields this version does not know, and for systems other than MoFA."""
        if "system" in values:
            raise ValueError(
                f"this checkpoint holds the system {values['system']!r}, not an encoder of the whole code; give a run "
                "of experiments/train_mofa.py"
            )
        try:
            return cls(**{**values, "scales": OutputScales(**values["scales"])})
        except (TypeError, KeyError) as error:
            raise ValueError(f"the checkpoint's description does not fit this version of mofa3d ({error})") from None

    def load_model(self) -> MorphableModel:
        """The face model.

        Raises:
            ValueError: its files are missing, or its numbers are not those the encoder was trained for.
        """
        model = load_model(self.model, path=self.model_path or None)
        if self.fingerprint and model.fingerprint() != self.fingerprint:
            raise ValueError(
                f"this encoder was trained for another version of the face model {self.model!r} (its numbers differ); "
                "install the version it was trained with, or train again"
            )
        return model

    def make_encoder(self, model: MorphableModel, weights: str | Path | None = None) -> Encoder:
        return make_encoder(
            self.encoder, sizes=model.sizes, scales=self.scales, weights=weights, input_size=self.input_size
        )


def checkpoint_file(run: Path) -> Path:
    """The file of a training run that is given by its folder or its file."""
    return run / CHECKPOINT_NAME if run.is_dir() else run


@contextmanager
def claim_folder(out: Path, resume: bool, resumable: Sequence[str] = (CHECKPOINT_NAME,)) -> Iterator[None]:
    """Make a training's output folder and keep other trainings out of it; leftovers of killed ones are removed.

    Args:
        out: the folder.
        resume: a training in it is to be gone on with.
        resumable: names of files from which that is possible; one of them is enough.

    Raises:
        ValueError: it holds a training that is not to be resumed, none that could be, or something else, or another
            process trains.
    """
    if resume and not _begun(out, resumable):
        raise ValueError(f"{out} holds no training; leave out --resume, or choose another --out")
    take_folder(out, "a training", known=_begun(out, (*resumable, LOG_NAME)))
    with alone(out, wait=False):
        if _begun(out, resumable) and not resume:
            raise ValueError(f"{out} already holds a training; pass --resume to go on with it, or choose another --out")
        if (out / LOG_NAME).exists() and not resume:
            raise ValueError(
                f"{out} holds the {LOG_NAME} of a training without a checkpoint; delete it, or choose another --out"
            )
        remove_leftovers(out)
        yield


def how_to_go_on(out: Path, resumable: Sequence[str] = (CHECKPOINT_NAME,)) -> str:
    """What to say of a training that was stopped, by what lies in its folder."""
    if _begun(out, resumable):
        return f"stopped; --resume goes on from what is in {out}"
    return "stopped before anything was learned; the same command starts again"


def _begun(out: Path, resumable: Sequence[str]) -> bool:
    return any((out / name).exists() for name in resumable)


def start_from(encoder: Encoder, about: Description, run: Path) -> None:
    """Fill an encoder with the weights of another training; the face model may have changed a little in between.

    Args:
        encoder: built by ``about.make_encoder``.
        about: of the training that is to begin.
        run: as in `open_run`.

    Raises:
        ValueError: no readable checkpoint, or one of another network or another kind of code.
    """
    path = checkpoint_file(run)
    content = read_checkpoint(path)
    with naming_file(path):
        before = Description.from_dict(content["description"])
    for name in ("model", "encoder", "input_size", "scales", "image_size"):
        if getattr(before, name) != getattr(about, name):
            raise ValueError(
                f"{path} was trained with {name} {getattr(before, name)!r}, not {getattr(about, name)!r}; begin with "
                "the settings it was trained with, or from scratch"
            )
    load_weights(encoder, content, path)


@plain_settings()
def open_run(run: Path = SHIPPED) -> tuple[Encoder, Decoder]:
    """The trained encoder and the decoder of a training run.

    Args:
        run: the training's output folder, a checkpoint file, or a file of `mofa3d.encoder_file`; by default the encoder
            that comes with the package.

    Raises:
        ValueError: no readable checkpoint, or one of another model.
    """
    path = checkpoint_file(run)
    content = read_checkpoint(path)
    with naming_file(path):
        description = Description.from_dict(content["description"])
        model = description.load_model()
        encoder = description.make_encoder(model)
        load_weights(encoder, content, path)
        _try(encoder.eval(), description.image_size)
    return encoder, Decoder(model, Camera(description.image_size))


@torch.no_grad()
def _try(encoder: Encoder, image_size: int) -> None:
    """Let an encoder see a grey picture: weights that are each a number may still not be those of an encoder."""
    code = encoder(torch.full((1, 3, image_size, image_size), 0.5, dtype=torch.float32))
    if not bool((code.abs() <= MOST_CODE).all()):  # which NaN is not either
        raise ValueError(
            "its encoder says numbers about a grey picture that are not finite, or beyond any face; the file is "
            "damaged, or the training went wrong"
        )
