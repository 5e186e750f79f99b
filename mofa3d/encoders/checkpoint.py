"""Build an autoencoder from its description, and open one that was trained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.encoders import CHECKPOINT_NAME
from mofa3d.encoders.network import Encoder, make_encoder
from mofa3d.environment.torch_settings import plain_settings
from mofa3d.errors import InputError
from mofa3d.files.given import naming_file, read_tensors
from mofa3d.files.whole import write_tensors
from mofa3d.models import load_model
from mofa3d.morphable_model import MorphableModel
from mofa3d.numeric_options import check_kinds, check_ranges
from mofa3d.semantic_code import OutputScales

SUFFIX = ".safetensors"
RECOGNIZER = "recognizer."  # of the names of the weights that only a training needs


def write_encoder(path: Path, content: dict) -> None:
    """Write what `mofa3d.encoders.checkpoint.read_checkpoint` gave, without the optimiser, atomically.

    Args:
        path: a name that ends with .safetensors.
        content: ``encoder`` (its real numbers are rounded to half precision), ``description`` and ``progress``.

    Raises:
        InputError: a weight that half precision cannot hold.
    """
    tensors: dict[str, Tensor] = {}
    for name, value in content["encoder"].items():
        rounded = value.half() if value.is_floating_point() else value
        if not torch.isfinite(rounded).all():
            raise InputError(
                f"{name} has weights that are NaN or overflow in half precision (beyond ±65504); train again"
            )
        tensors[name] = rounded
    about = {"description": content["description"], "progress": content["progress"], "sha256": _digest(tensors)}
    write_tensors(path, tensors, {"mofa3d": json.dumps(about)})


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Of all weights: a flipped bit may leave a number that looks like any other."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def read_encoder(path: Path) -> dict:
    """The ``encoder`` (float32), ``description`` and ``progress`` that `write_encoder` was given.

    Raises:
        InputError: the file is damaged or not of this kind, or a weight is not finite.
    """
    from mofa3d.encoders.checkpoint_content import check_content

    try:
        tensors, metadata = read_tensors(path)
        about = json.loads(metadata["mofa3d"])
        if "sha256" in about and about["sha256"] != _digest(tensors):  # older files have none
            raise InputError("its weights differ from those that were written")
        weights = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
        content = {"encoder": weights, "description": about["description"], "progress": about["progress"]}
        check_content(content)
        return content
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:  # of json
        raise InputError(f"{path} is not a readable encoder file ({error}); get or write it again") from error


def load_weights(encoder: nn.Module, content: dict, path: Path) -> None:
    """Fill an encoder from what `read_checkpoint` gave.

    The layer that a training with an identity loss adds is taken if the encoder has one, and left as it is if the
    checkpoint has none.

    Raises:
        InputError: the weights are not those of the encoder that the checkpoint describes.
    """
    weights = {name: value for name, value in encoder.state_dict().items() if name.startswith(RECOGNIZER)}
    taken = {name: value for name, value in content["encoder"].items() if weights or not name.startswith(RECOGNIZER)}
    try:
        encoder.load_state_dict({**weights, **taken})
    except RuntimeError:
        raise InputError(f"the weights in {path} do not fit its own description; the file is damaged") from None


def read_checkpoint(path: Path) -> dict:
    """Read a checkpoint, or a file of `mofa3d.encoders.checkpoint`, without executing anything in it.

    Raises:
        InputError: it is missing, damaged, or no checkpoint of this project.
    """
    from mofa3d.encoders.weights import INSTEAD, check_present

    check_present(path)
    if path.suffix == SUFFIX:
        return read_encoder(path)
    from mofa3d.encoders.checkpoint_content import check_content, load_archive

    try:
        content = load_archive(path)
    except InputError as error:
        raise InputError(f"{path} is not a readable checkpoint ({error}); {INSTEAD}") from error
    except Exception as error:  # PyTorch's own words are many lines, and advise to execute what is in the file
        raise InputError(f"{path} is not a readable checkpoint; {INSTEAD}") from error
    try:
        check_content(content)
    except InputError as error:
        raise InputError(f"{path} is not a checkpoint of mofa3d ({error}); {INSTEAD}") from None
    return cast(dict, content)


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
        """Raises InputError for fields this version does not know, and for systems other than MoFA."""
        if "system" in values:
            raise InputError(
                f"this checkpoint holds the system {values['system']!r}, not an encoder of the whole code; give a run "
                "of experiments/train_mofa.py"
            )
        try:
            return cls(**{**values, "scales": OutputScales(**values["scales"])})
        except (TypeError, KeyError) as error:
            raise InputError(f"the checkpoint's description does not fit this version of mofa3d ({error})") from None

    def load_model(self) -> MorphableModel:
        """The face model.

        Raises:
            InputError: its files are missing, or its numbers are not those the encoder was trained for.
        """
        model = load_model(self.model, path=self.model_path or None)
        if self.fingerprint and model.fingerprint() != self.fingerprint:
            raise InputError(
                f"this encoder was trained for another version of the face model {self.model!r} (its numbers differ); "
                "install the version it was trained with, or train again"
            )
        return model

    def make_encoder(self, model: MorphableModel, weights: str | Path | None = None) -> Encoder:
        return make_encoder(
            self.encoder, sizes=model.sizes, scales=self.scales, weights=weights, input_size=self.input_size
        )


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
        InputError: no readable checkpoint, or one of another network or another kind of code.
    """
    from mofa3d.encoders.weights import checkpoint_file

    path = checkpoint_file(run)
    content = read_checkpoint(path)
    with naming_file(path):
        before = Description.from_dict(content["description"])
    for name in ("model", "encoder", "input_size", "scales", "image_size"):
        if getattr(before, name) != getattr(about, name):
            raise InputError(
                f"{path} was trained with {name} {getattr(before, name)!r}, not {getattr(about, name)!r}; begin with "
                "the settings it was trained with, or from scratch"
            )
    load_weights(encoder, content, path)


@plain_settings()
def open_run(run: Path | None = None) -> tuple[Encoder, Decoder]:
    """The trained encoder and the decoder of a training run.

    Args:
        run: the training's output folder, a checkpoint file, or a file of `mofa3d.encoders.checkpoint`; by default the
            encoder that comes with the package.

    Raises:
        InputError: no readable checkpoint, or one of another model.
    """
    path = _file_of(run)
    content = read_checkpoint(path)
    with naming_file(path):
        description = Description.from_dict(content["description"])
        model = description.load_model()
        encoder = description.make_encoder(model)
        load_weights(encoder, content, path)
        _try(encoder.eval(), description.image_size)
    return encoder, Decoder(model, Camera(description.image_size))


def open_model(run: Path | None = None) -> MorphableModel:
    """The face model of a training run, without its encoder; see `open_run`."""
    path = _file_of(run)
    content = read_checkpoint(path)
    with naming_file(path):
        return Description.from_dict(content["description"]).load_model()


def _file_of(run: Path | None) -> Path:
    from mofa3d.encoders.weights import SHIPPED, checkpoint_file

    return checkpoint_file(SHIPPED if run is None else run)


@torch.no_grad()
def _try(encoder: Encoder, image_size: int) -> None:
    """Let an encoder see a grey picture: weights that are each a number may still not be those of an encoder."""
    code = encoder(torch.full((1, 3, image_size, image_size), 0.5, dtype=torch.float32))
    if not bool((code.abs() <= MOST_CODE).all()):  # which NaN is not either
        raise InputError(
            "its encoder predicts values for a plain gray image that are not finite, or beyond any face; the file is "
            "damaged, or the training went wrong"
        )
