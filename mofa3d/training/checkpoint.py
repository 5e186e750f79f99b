"""Write a training's checkpoints, and go on from one."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

import torch
from torch import nn

from mofa3d.encoders.checkpoint import CHECKPOINT_NAME, _begun, load_weights, read_checkpoint
from mofa3d.errors import InputError
from mofa3d.files.folders import take_folder
from mofa3d.files.locks import alone
from mofa3d.files.whole import naming, remove_leftovers, whole_file
from mofa3d.training.log import LOG_NAME
from mofa3d.training.progress import DivergenceError, Progress
from mofa3d.training.random_states import random_states, set_random_states

_LOG = logging.getLogger(__name__)


@contextmanager
def claim_folder(out: Path, resume: bool, resumable: Sequence[str] = (CHECKPOINT_NAME,)) -> Iterator[None]:
    """Make a training's output folder and keep other trainings out of it; leftovers of killed ones are removed.

    Args:
        out: the folder.
        resume: a training in it is to be gone on with.
        resumable: names of files from which that is possible; one of them is enough.

    Raises:
        InputError: it holds a training that is not to be resumed, none that could be, or something else, or another
            process trains.
    """
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
        yield


@dataclass
class _Keeper:
    """Writes the checkpoints of one training.

    Attributes:
        path, network, optimizer, description: see `save_checkpoint`.
        log: is on the disk before the checkpoint that it belongs to.
        iteration, seconds: of the last checkpoint.
    """

    path: Path
    network: nn.Module
    optimizer: torch.optim.Optimizer
    description: dict
    log: TextIO
    iteration: int
    seconds: float

    def save(self, progress: Progress) -> None:
        """Write a checkpoint if anything was learned since the last."""
        if progress.iteration == self.iteration:
            return
        with naming(self.path.with_name(LOG_NAME)):
            self.log.flush()
            os.fsync(self.log.fileno())
        save_checkpoint(self.path, self.network, self.optimizer, progress, self.description)
        self.iteration, self.seconds = progress.iteration, progress.seconds

    @contextmanager
    def saving_after_errors(self, progress: Progress) -> Iterator[None]:
        """Between steps, where an error of the data or of the log is no reason to lose what was learned."""
        try:
            yield
        except Exception:
            with suppress(OSError, DivergenceError):  # the first error says what is to be mended
                self.save(progress)
            raise


def save_checkpoint(
    path: Path, encoder: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress, description: dict
) -> None:
    """Write a checkpoint atomically: a crash leaves the previous one whole.

    Raises:
        DivergenceError: a weight is not finite; the previous checkpoint stays.
        OSError: it cannot be written, with its name; the previous checkpoint stays.
    """
    broken = [name for name, value in encoder.named_parameters() if not torch.isfinite(value).all()]
    if broken:
        raise DivergenceError(
            f"{broken[0]} is not finite after iteration {progress.iteration}; the last good checkpoint, if any, is "
            f"{path}. Lower the learning rate and --resume"
        )
    content = {
        "encoder": encoder.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": asdict(progress),
        "description": description,
        "random": random_states(),
    }
    with whole_file(path) as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:  # PyTorch hides what the system said, as that its disk is full
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def restore(path: Path, encoder: nn.Module, optimizer: torch.optim.Optimizer, description: dict) -> Progress:
    """Load encoder, optimiser, progress and random states from a checkpoint of the same training.

    One without random states, of an older version, comes with a warning.

    Raises:
        InputError: the checkpoint is of another encoder, face model or optimiser.
    """
    from mofa3d.encoders.checkpoint_content import check_optimizer

    content = read_checkpoint(path)
    remedy = "resume with the settings it was trained with, or choose another --out"
    before = content["description"]
    for name, value in description.items():
        if before.get(name) != value:
            raise InputError(f"{path} was trained with {name} {before.get(name)!r}, not {value!r}; {remedy}")
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
    return Progress(**content["progress"])
