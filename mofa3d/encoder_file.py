"""An encoder's weights as one small file: half-precision safetensors with their description, for passing on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from mofa3d.checkpoint_content import check_content
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
        ValueError: the file is damaged or not of this kind, or a weight is not finite.
    """
    try:
        tensors, metadata = read_tensors(path)
        about = json.loads(metadata["mofa3d"])
        if about.get("sha256", _digest(tensors)) != _digest(tensors):  # older files have none
            raise ValueError("its weights are not those that were written")
        weights = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
        content = {"encoder": weights, "description": about["description"], "progress": about["progress"]}
        check_content(content)
        return content
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is not a readable encoder file ({error}); get or write it again") from error
