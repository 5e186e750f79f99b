"""The places of a model's triangles in its texture; the default model's come with the package.

They are the same for every face of a model, and finding them (`mofa3d.export.texture_charts`) takes as long as
reconstructing a face.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float, Int
from torch import Tensor

from mofa3d.errors import InputError
from mofa3d.files.given import read_tensors
from mofa3d.files.whole import write_tensors
from mofa3d.morphable_model import MorphableModel

SHIPPED = Path(__file__).with_name("default_layout.safetensors")  # of experiments/build_default_model.py


@dataclass(frozen=True, eq=False)
class TextureLayout:
    """The place of each triangle in the texture; vertices on the border of charts stand there once per chart.

    Attributes:
        source: (M,) the model's vertex that each vertex of the layout copies.
        uv: (M, 2) in 0 to 1, origin at the bottom left.
        faces: (F, 3) into the M vertices, in the order of the model's faces.
    """

    source: Int[Tensor, "M"]
    uv: Float[Tensor, "M 2"]
    faces: Int[Tensor, "F 3"]


def texture_layout(model: MorphableModel) -> TextureLayout:
    """A model's layout: that of the package if it was made for this very model, else it is found.

    Raises:
        InputError: the package's file is damaged.
    """
    if model.name == "makehuman":
        layout = read_layout(SHIPPED, model)
        if layout is not None:
            return layout
    from mofa3d.export.texture_charts import lay_out

    return lay_out(model)


def write_layout(path: Path, layout: TextureLayout, model: MorphableModel) -> None:
    """Write the layout of a model, with a hash of what it was made from."""
    tensors = {"source": layout.source.int(), "uv": layout.uv, "faces": layout.faces.int()}
    write_tensors(path, tensors, {"mofa3d": json.dumps({"model": _digest(model)})})


def read_layout(path: Path, model: MorphableModel) -> TextureLayout | None:
    """The layout in a file, or ``None`` if that was written for another model.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        tensors, metadata = read_tensors(path)
        if json.loads(metadata["mofa3d"])["model"] != _digest(model):
            return None
        return TextureLayout(tensors["source"].long(), tensors["uv"], tensors["faces"].long())
    except (ValueError, KeyError, TypeError) as error:  # of read_tensors, json and the dictionaries
        raise InputError(f"{path} contains no valid texture layout ({error}); install mofa3d again") from error


def _digest(model: MorphableModel) -> str:
    """Of all that a layout depends on."""
    digest = hashlib.sha256()
    for value in (model.mean_shape, model.faces, model.frontal, model.uv):
        if value is not None:
            digest.update(f"{tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
