"""What a checkpoint holds, looked at once when it is opened: whole, finite, and of the types that it should have.

Functions raise InputError with the reason alone; callers name the file and say what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch
from torch import Tensor

from mofa3d.errors import InputError
from mofa3d.files.given import check_file
from mofa3d.numeric_options import MOST, check_kinds, within

PARTS = ("encoder", "description", "progress")
LARGEST = 1e10  # of a weight; a flipped bit makes far larger ones
KNOWN = ("torch.", "collections.OrderedDict")  # names that the pickle of tensors needs


def load_archive(path: Path) -> object:
    """What `torch.save` wrote, without executing anything in it.

    Raises:
        InputError: it is missing, damaged in any byte, unpacks to more than it is, or names anything but tensors.
    """
    from mofa3d.models.formats.pickle_scan import check_pickle

    size = check_file(path)
    try:
        with ZipFile(path) as archive:
            members = archive.infolist()
            if any(member.compress_type != ZIP_STORED for member in members):
                raise InputError("its parts are compressed, as no training writes them")
            if sum(member.file_size for member in members) > size:
                raise InputError("its parts overlap")
            damaged = archive.testzip()  # PyTorch does not compare the checksums
            if damaged is not None:
                raise InputError(f"the checksum of its part {damaged} is wrong")
            pickles = [member for member in members if member.filename.endswith("data.pkl")]
            for member in pickles:
                check_pickle(archive.read(member), lambda name: name.startswith(KNOWN))
    except BadZipFile as error:
        raise InputError(str(error)) from error
    return torch.load(path, map_location="cpu", weights_only=True)


def check_content(content: object) -> None:
    """Refuse anything but a checkpoint: parts that are missing or of another type, and NaN or infinity.

    Args:
        content: as `mofa3d.training.checkpoint.save_checkpoint` writes it; what is there beside `PARTS` is not looked
            at.

    Raises:
        InputError: naming the part.
    """
    if not isinstance(content, dict) or not content.keys() >= set(PARTS):
        raise InputError(f"it lacks one of {', '.join(PARTS)}")
    for part in PARTS:
        if not isinstance(content[part], dict) or not all(isinstance(name, str) for name in content[part]):
            raise InputError(f"its {part} is a {type(content[part]).__name__}, expected names and values")
    check_weights(content["encoder"])
    progress = content["progress"]
    if set(progress) != {"iteration", "seconds"}:
        raise InputError(f"its progress has {sorted(progress)}, expected iteration and seconds")
    try:
        check_kinds({"iteration": progress["iteration"]}, int)
        check_kinds({"seconds": progress["seconds"]}, int | float)
    except TypeError as error:
        raise InputError(f"in its progress, {error}") from None
    for name, value in progress.items():
        within(f"in its progress, {name}", value, 0, MOST)


def check_weights(weights: Mapping[str, object]) -> None:
    """Refuse weights that no network could compute with.

    Raises:
        InputError: naming the first that is no tensor of numbers, not finite, or larger than any weight.
    """
    for name, value in weights.items():
        if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_complex():
            raise InputError(f"{name} is a {type(value).__name__}, expected a tensor of real numbers")
        if value.untyped_storage().nbytes() < value.nbytes:
            raise InputError(f"{name} has {value.nbytes} bytes of which {value.untyped_storage().nbytes()} are there")
        if value.is_floating_point() and not bool((value.abs() <= LARGEST).all()):  # which NaN is not either
            raise InputError(f"{name} has values that are NaN, infinite or beyond ±{LARGEST:g}")


def check_optimizer(state: object, optimizer: torch.optim.Optimizer) -> None:
    """Refuse what is no state of an optimiser of these parameters.

    Args:
        state: as ``optimizer.state_dict()`` gave it.
        optimizer: that is to take it.

    Raises:
        InputError: naming what is wrong.
    """
    if not isinstance(state, dict) or not isinstance(state.get("state"), dict):
        raise InputError("the state of its optimiser is missing, or of another kind")
    expected, found = optimizer.state_dict()["param_groups"], state.get("param_groups")
    if not isinstance(found, list) or not all(isinstance(group, dict) for group in found):
        raise InputError("its optimiser has no groups of parameters")
    if [group.keys() for group in found] != [group.keys() for group in expected]:
        raise InputError("it was trained with another optimiser, or other groups of parameters")
    for before, now in zip(found, expected, strict=True):
        for name, value in now.items():
            if not _alike(before[name], value):
                raise InputError(f"its optimiser has the {name} {before[name]!r}, expected one like {value!r}")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, values in state["state"].items():
        if not isinstance(values, dict) or number not in range(len(parameters)):
            raise InputError(f"its optimiser has a {type(values).__name__} for parameter {number!r}")
        tensors = {f"{name} of parameter {number}": value for name, value in values.items() if value is not None}
        check_weights({name: value for name, value in tensors.items() if not isinstance(value, int | float)})
        for name, value in tensors.items():
            shape = getattr(value, "shape", ())
            if shape not in ((), parameters[number].shape):
                raise InputError(f"{name} has the shape {tuple(shape)}, expected {tuple(parameters[number].shape)}")


def _alike(before: object, now: object) -> bool:
    """Whether a setting could be what it is now: of the same type, and finite."""
    if isinstance(now, list | tuple):
        return isinstance(before, list | tuple) and len(before) == len(now) and all(map(_alike, before, now))
    if isinstance(now, int | float) and not isinstance(now, bool):
        return isinstance(before, int | float) and not isinstance(before, bool) and abs(before) <= MOST
    return isinstance(before, type(now)) or before is None
