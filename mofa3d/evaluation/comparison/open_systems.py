"""Open what the programs of the compared systems trained."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from torch import nn

from mofa3d.camera import Camera
from mofa3d.decoder import Decoder
from mofa3d.encoders.checkpoint import CHECKPOINT_NAME, Description, load_weights, read_checkpoint
from mofa3d.errors import InputError
from mofa3d.evaluation.comparison.networks.conv_autoencoder import ConvAutoencoder, LearnedDecoder
from mofa3d.evaluation.comparison.networks.richardson import (
    SYSTEM,
    IterativeRegressor,
    RegressorDescription,
    draw_feedback,
)
from mofa3d.scene import Renderer

Network = TypeVar("Network", bound=nn.Module)


def open_autoencoder(run: Path) -> ConvAutoencoder:
    """The network of `experiments/train_autoencoder.py`, ready to use.

    Raises:
        InputError: no readable checkpoint, or one of another system.
    """
    content, path = _read(run, "autoencoder")
    return _filled(ConvAutoencoder(*_sizes(content, path)), content, path)


def open_learned_decoder(run: Path) -> LearnedDecoder:
    """The network of `experiments/train_conv_decoder.py`, ready to use.

    Raises:
        InputError: no readable checkpoint, or one of another system.
    """
    content, path = _read(run, "conv_decoder")
    return _filled(LearnedDecoder(*_sizes(content, path)), content, path)


def open_regressor(run: Path, render: Renderer) -> tuple[IterativeRegressor, Decoder]:
    """The network of `experiments/train_regressor.py`, ready to use, and the decoder of its codes.

    Args:
        run: the training's folder, or its checkpoint.
        render: a raster backend with a black background, which draws the network's answers for it.

    Raises:
        InputError: no readable checkpoint, one of another system, or of another version of the face model.
    """
    content, path = _read(run, SYSTEM)
    about = RegressorDescription.from_dict(content["description"])
    model = Description(about.model, about.model_path, about.fingerprint).load_model()
    small = Decoder(model.restrict(model.frontal), Camera(about.input_size))
    network = IterativeRegressor(about, model.sizes, draw_feedback(about.feedback, small, render))
    return _filled(network, content, path), Decoder(model, Camera())


def _sizes(content: dict, path: Path) -> tuple[int, int]:
    """Of images and codes."""
    sizes = [content["description"].get(name) for name in ("image_size", "code_size")]
    if not all(isinstance(size, int) and 1 <= size <= 4096 for size in sizes):
        raise InputError(f"{path} gives the sizes of images and codes as {sizes}; expected 1 to 4096")
    return sizes[0], sizes[1]


def _read(run: Path, system: str) -> tuple[dict, Path]:
    path = run / CHECKPOINT_NAME if run.is_dir() else run
    content = read_checkpoint(path)
    found = content["description"].get("system", "mofa")
    if found != system:
        raise InputError(f"{path} holds the system {found!r}, not {system!r}; give a run of that one")
    return content, path


def _filled(network: Network, content: dict, path: Path) -> Network:
    load_weights(network, content, path)
    return network.eval()
