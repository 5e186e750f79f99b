"""Write semantic codes as JSON, and read them back."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import torch

from mofa3d.errors import InputError
from mofa3d.files.given import read_json
from mofa3d.files.whole import write_text
from mofa3d.semantic_code import CodeSizes, SemanticCode

MOST_BYTES = 10_000_000
LARGEST = {  # of what a code says: deviations, radians, millimetres, and light
    **dict.fromkeys(("shape", "expression", "reflectance", "illumination"), 1000),
    "rotation": 100,
    "translation": 100_000,
}


def write_code(path: Path, code: SemanticCode, extra: dict | None = None) -> None:
    """Write one semantic code (a batch of one) as JSON, block by block; `extra` joins it.

    Raises:
        InputError: a number is not finite.
    """
    for block in fields(code):
        if not bool(getattr(code, block.name).isfinite().all()):
            raise InputError(
                f"the {block.name} of a code has values that are NaN or infinite, so {path} is not written"
            )
    blocks = {block.name: getattr(code, block.name)[0].tolist() for block in fields(code)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({**(extra or {}), **blocks}, indent=1) + "\n")


def read_code(path: Path, sizes: CodeSizes | None = None) -> tuple[SemanticCode, dict]:
    """Read what `write_code` wrote: the code, a batch of one, and what else is there.

    Args:
        sizes: of the face model that the code has to fit; by default any.

    Raises:
        InputError: the file is missing or no such JSON, or a block is missing, of another size, or not finite.
    """
    try:
        content = read_json(path, MOST_BYTES)
    except InputError as error:
        missing = f"there is no semantic code at {path}" if not path.exists() else f"{path} is no JSON ({error})"
        raise InputError(f"{missing}; give a code.json written by mofa3d") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} contains a {type(content).__name__}, expected a semantic code; give a code.json")
    expected: dict[str, tuple[int | None, ...]] = {"rotation": (3,), "translation": (3,), "illumination": (9, 3)}
    for name in ("shape", "expression", "reflectance"):
        expected[name] = (getattr(sizes, name) if sizes else None,)
    blocks = {block.name: _block(path, content, block.name, expected[block.name]) for block in fields(SemanticCode)}
    return SemanticCode(**blocks), {name: value for name, value in content.items() if name not in blocks}


def _block(path: Path, content: dict, name: str, expected: tuple[int | None, ...]) -> torch.Tensor:
    if name not in content:
        raise InputError(f"{path} has no {name!r}; give a code.json written by mofa3d")
    try:
        values = torch.tensor(content[name], dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError, OverflowError):  # of torch.tensor
        raise InputError(f"{name!r} in {path} is not an array of numbers; give a code.json written by mofa3d") from None
    if values.ndim != len(expected) or any(n not in (None, m) for n, m in zip(expected, values.shape, strict=True)):
        wanted = " × ".join("any" if n is None else str(n) for n in expected)
        raise InputError(
            f"{name!r} in {path} has {' × '.join(map(str, values.shape))} numbers, expected {wanted}; is it a code of "
            "this face model?"
        )
    most = LARGEST[name]
    if not bool((values.abs() <= most).all()):  # which NaN is not either
        raise InputError(
            f"{name!r} in {path} has values that are not finite, or far beyond any face (±{most:g}); reconstruct the "
            "photograph again"
        )
    return values[None]
