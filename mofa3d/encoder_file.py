"""An encoder's weights as one small file: half-precision safetensors with their description, for passing on."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from mofa3d.given_files import read_tensors
from mofa3d.whole_files import write_tensors

SUFFIX = ".safetensors"


def write_encoder(path: Path, content: dict) -> None:
    """Write what `mofa3d.training.read_checkpoint` gave, without the optimiser, atomically.

    Args:
        path: a name that ends with .safetensors.
        content: ``encoder`` (its real numbers are rounded to half precision), ``description`` and ``progress``.

    Raises:
        ValueError: a weight that half precision cannot hold.
    """
    tensors: dict[str, Tensor] = {}
    for name, value in content["encoder"].items():
        rounded = value.half() if value.is_floating_point() else value
        if not torch.isfinite(rounded).all():
            raise ValueError(f"{name} holds values that half precision cannot (beyond ±65504, or none); train again")
        tensors[name] = rounded
    about = {"description": content["description"], "progress": content["progress"]}
    write_tensors(path, tensors, {"mofa3d": json.dumps(about)})


def read_encoder(path: Path) -> dict:
    """The ``encoder`` (float32), ``description`` and ``progress`` that `write_encoder` was given.

    Raises:
        ValueError: the file is damaged or not of this kind.
    """
    try:
        tensors, metadata = read_tensors(path)
        about = json.loads(metadata["mofa3d"])
        weights = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
        return {"encoder": weights, "description": about["description"], "progress": about["progress"]}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is not a readable encoder file ({error}); get or write it again") from error
