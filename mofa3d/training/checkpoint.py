"""Write a training's checkpoints, and go on from one."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from mofa3d.encoders.checkpoint import CHECKPOINT_NAME, _begun, load_weights, read_checkpoint
from mofa3d.environment.processes import ALONE, Processes
from mofa3d.errors import InputError
from mofa3d.files.folders import take_folder
from mofa3d.files.locks import alone
from mofa3d.files.whole import remove_leftovers, whole_file
from mofa3d.training.log import LOG_NAME
from mofa3d.training.progress import BestLoss, DivergenceError, Progress

_LOG = logging.getLogger(__name__)


@contextmanager
def claim_folder(
    out: Path,
    resume: bool | Literal["auto"],
    resumable: Sequence[str] = (CHECKPOINT_NAME,),
    processes: Processes = ALONE,
) -> Iterator[bool]:
    """Make a training's output folder and keep other trainings out of it; leftovers of killed ones are removed.

    Args:
        out: the folder.
        resume: a training in it is to be gone on with; with "auto", if there is one.
        resumable: names of files from which that is possible; one of them is enough.
        processes: of the training; the first one claims the folder for all.

    Yields:
        Whether a training is gone on with.

    Raises:
        InputError: it holds a training that is not to be resumed, none that could be, or something else, or another
            process trains.
        LostProcessError: the first process has failed.
    """
    if not processes.leads:
        yield processes.hand_out(False)
        return
    if resume == "auto":
        resume = _begun(out, resumable)
    if resume and not _begun(out, resumable):
        raise InputError(f"{out} contains no training; leave out --resume, or choose another --out")
    take_folder(out, "a training", known=_begun(out, (*resumable, LOG_NAME)))
    with alone(out, wait=False):
        if _begun(out, resumable) and not resume:
            raise InputError(
                f"{out} already contains a training; pass --resume to continue it, or choose another --out"
            )
        if (out / LOG_NAME).exists() and not resume:
            raise InputError(
                f"{out} contains the {LOG_NAME} of a training without a checkpoint; delete it, or choose another --out"
            )
        remove_leftovers(out)
        yield processes.hand_out(resume)


def save_checkpoint(
    path: Path,
    encoder: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    description: dict,
    **more: dict,
) -> None:
    """Write a checkpoint atomically: a crash leaves the previous one whole.

    Args:
        more: further parts, as `checkpoint_content` takes them.

    Raises:
        DivergenceError: a weight is not finite; the previous checkpoint stays.
        OSError: it cannot be written, with its name; the previous checkpoint stays.
    """
    write_checkpoint(path, checkpoint_content(path, encoder, optimizer, progress, description, **more))


def checkpoint_content(
    path: Path,
    encoder: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    description: dict,
    **more: dict,
) -> dict:
    """Everything that a training needs to go on; tensors are its own, which go on changing.

    Args:
        path: of the last good checkpoint, for messages.
        more: ``data``, the names and fingerprints of what is learned from; ``best``, see `mofa3d.training.progress`.

    Raises:
        DivergenceError: a weight is not finite.
    """
    broken = [name for name, value in encoder.named_parameters() if not torch.isfinite(value).all()]
    if broken:
        raise DivergenceError(
            f"{broken[0]} is not finite after iteration {progress.iteration}; the last good checkpoint, if any, is "
            f"{path}. Lower the learning rate and --resume"
        )
    return {
        "encoder": encoder.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": asdict(progress),
        "description": description,
        "random": random_states(),
        **more,
    }


def write_checkpoint(path: Path, content: dict) -> None:
    """Write what `checkpoint_content` gave, atomically.

    Raises:
        OSError: it cannot be written, with its name; the previous checkpoint stays.
    """
    with whole_file(path) as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:  # PyTorch hides what the system said, as that its disk is full
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def copied(value: Any) -> Any:
    """Dictionaries and lists with copies of their tensors on the CPU."""
    if isinstance(value, dict):
        made = copy(value)  # state dicts have attributes
        made.update((name, copied(entry)) for name, entry in value.items())
        return made
    if isinstance(value, list | tuple):
        return type(value)(copied(entry) for entry in value)
    return value.detach().to("cpu", copy=True) if isinstance(value, Tensor) else value


def restore(
    path: Path,
    encoder: nn.Module,
    optimizer: torch.optim.Optimizer,
    description: dict,
    data: Mapping[str, str] | None = None,
) -> tuple[Progress, BestLoss]:
    """Load encoder, optimiser, progress and random states from a checkpoint of the same training.

    One without random states, of an older version, comes with a warning.

    Raises:
        InputError: the checkpoint is of another encoder, face model or optimiser, or was trained with other data.
    """
    from mofa3d.encoders.checkpoint_content import check_optimizer

    content = read_checkpoint(path)
    remedy = "resume with the settings it was trained with, or choose another --out"
    before = content["description"]
    for name, value in description.items():
        if before.get(name) != value:
            raise InputError(f"{path} was trained with {name} {before.get(name)!r}, not {value!r}; {remedy}")
    learned_from = content.get("data", {})
    for name, value in (data or {}).items():
        if isinstance(learned_from, dict) and learned_from.get(name, value) != value:
            raise InputError(
                f"{path} was trained with another {name} than is given now ({learned_from[name]}, now {value}); resume "
                "with what it was trained with, or choose another --out, and begin from this encoder with --start"
            )
    try:
        check_optimizer(content.get("optimizer"), optimizer)
    except InputError as error:
        raise InputError(f"{path} cannot be continued with {type(optimizer).__name__}: {error}; {remedy}") from None
    load_weights(encoder, content, path)
    optimizer.load_state_dict(content["optimizer"])
    if "random" in content:
        try:
            set_random_states(content["random"])
        except InputError as error:
            raise InputError(f"{path}: {error}; {remedy}") from None
    else:
        _LOG.warning(
            "%s was written by an older version without random states: dropout will use other numbers than if the "
            "training had not been stopped",
            path,
        )
    return Progress(**content["progress"]), BestLoss.from_dict(content.get("best"))


def random_states() -> dict:
    """States of PyTorch on the CPU and on GPUs that are in use, of Python and of NumPy; plain values and tensors."""
    name, key, *rest = cast(tuple, np.random.get_state(legacy=True))  # noqa: NPY002 (whatever uses it)
    states = {
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(key.astype(np.int64)), *rest),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_random_states(states: dict) -> None:
    """Go on with the states that `random_states` gave; those of devices that are not here are left out.

    Raises:
        InputError: they are not of this kind.
    """
    try:
        name, key, *rest = states["numpy"]
        torch.set_rng_state(states["torch"])
        random.setstate(states["python"])
        np.random.set_state((name, key.numpy().astype(np.uint32), *rest))  # noqa: NPY002
        gpus: list[Tensor] = states.get("cuda", [])
        for number, state in enumerate(gpus[: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state, number)
        if "mps" in states and torch.backends.mps.is_available():
            torch.mps.set_rng_state(states["mps"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:  # of the generators
        raise InputError(f"the random states are damaged ({error})") from None
