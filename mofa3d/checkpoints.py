"""Build an autoencoder from its description, and open one that was trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.encoders import Encoder, OutputScales, make_encoder
from mofa3d.models import load_model
from mofa3d.morphable_model import MorphableModel
from mofa3d.training import load_weights, read_checkpoint
from mofa3d.weights import SHIPPED

CHECKPOINT_NAME = "checkpoint.pt"


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


def claim_folder(out: Path, resume: bool) -> None:
    """Make a training's output folder.

    Raises:
        ValueError: it holds a training that is not to be resumed, or none that could be.
    """
    if resume != (out / CHECKPOINT_NAME).exists():
        found = "holds no training; leave out --resume" if resume else "already holds a training; pass --resume"
        raise ValueError(f"{out} {found}, or choose another --out")
    out.mkdir(parents=True, exist_ok=True)


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
    before = Description.from_dict(content["description"])
    for name in ("model", "encoder", "input_size", "scales", "image_size"):
        if getattr(before, name) != getattr(about, name):
            raise ValueError(
                f"{path} was trained with {name} {getattr(before, name)!r}, not {getattr(about, name)!r}; begin with "
                "the settings it was trained with, or from scratch"
            )
    load_weights(encoder, content, path)


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
    description = Description.from_dict(content["description"])
    model = description.load_model()
    encoder = description.make_encoder(model)
    load_weights(encoder, content, path)
    return encoder.eval(), Decoder(model, Camera(description.image_size))
