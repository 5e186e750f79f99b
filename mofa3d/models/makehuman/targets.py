"""MakeHuman's targets of head and face by name: displacement fields that artists made, in CC0."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from mofa3d.errors import InputError
from mofa3d.models.makehuman.source import INSTALL_HINT, read_target

ANCESTRIES = ("caucasian", "asian", "african")
ASYMMETRIC = "asym"
BODY = "macrodetails"  # of whole bodies by sex, age, ancestry, muscle and weight
FOLDERS = (
    "head", "eyes", "nose", "mouth", "ears", "cheek", "chin", "forehead", "eyebrows", "neck", ASYMMETRIC, BODY,
)  # fmt: skip
CHILDREN = ("baby", "child")
SUFFIX = ".target.gz"
LEAST = 1e-3  # dm; a target that moves nothing farther is none of the head


def target_names(data: Path) -> list[str]:
    """``FOLDER/NAME`` of all targets for the faces and heads of adults."""
    files = [path for folder in FOLDERS for path in sorted((data / "mpfb2/targets" / folder).glob(f"*{SUFFIX}"))]
    named = [(path.parent.name, path.name.removesuffix(SUFFIX)) for path in files]
    return ["/".join(name) for name in named if not (name[0] == BODY and any(child in name[1] for child in CHILDREN))]


def read_targets(
    data: Path, names: Iterable[str], vertex_count: int, kept: Int[np.ndarray, "V"]
) -> Float[np.ndarray, "T V 3"]:
    """Displacements (dm, float32) of the kept vertices at full strength.

    Raises:
        InputError: the installed data lack one.
    """
    fields = []
    for name in names:
        path = data / "mpfb2/targets" / f"{name}{SUFFIX}"
        if not path.is_file():
            raise InputError(f"{path} is missing; {INSTALL_HINT}")
        fields.append(read_target(path, vertex_count)[kept].astype(np.float32))
    return np.stack(fields)
