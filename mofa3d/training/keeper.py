"""Checkpoints while a training goes on: written by a thread, the last few and the best are kept."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO

import torch
from torch import nn

from mofa3d.files.whole import link_whole, naming
from mofa3d.training.checkpoint import checkpoint_content, copied, write_checkpoint
from mofa3d.training.log import LOG_NAME
from mofa3d.training.progress import BestLoss, DivergenceError, Progress, Schedule

BEST = "best.pt"
NUMBERED = "checkpoint-{:08d}.pt"  # by iteration, so that names sort as they came


@dataclass
class Keeper:
    """Writes the checkpoints of one training; a context, at whose end everything is written.

    The training stands still only while its numbers are copied, and if the last checkpoint is still being written when
    the next is due; see `mofa3d.training.progress.is_due`.

    Attributes:
        path, network, optimizer, description, data: see `mofa3d.training.checkpoint.checkpoint_content`.
        log: is on the disk before the checkpoint that it belongs to; ``None`` in processes that write nothing.
        schedule: which ones to keep.
        best: the losses so far.
        last: where the training stood at the last checkpoint.
    """

    path: Path
    network: nn.Module
    optimizer: torch.optim.Optimizer
    description: dict
    data: Mapping[str, str]
    log: TextIO | None
    schedule: Schedule
    best: BestLoss
    last: Progress
    _writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "checkpoint"))
    _pending: Future | None = None

    def save(self, progress: Progress) -> None:
        """Begin to write a checkpoint if anything was learned since the last.

        Raises:
            DivergenceError: a weight is not finite; the previous checkpoint stays.
            OSError: the one before could not be written.
        """
        if self.log is None or progress.iteration == self.last.iteration:
            return
        every = self.schedule.checkpoint_every
        is_best = bool(every) and progress.iteration % every == 0 and self.best.end_interval()
        parts = {"data": dict(self.data), "best": self.best.to_dict()}
        content = checkpoint_content(self.path, self.network, self.optimizer, progress, self.description, **parts)
        with naming(self.path.with_name(LOG_NAME)):
            self.log.flush()
        self.finish()
        self._pending = self._writer.submit(self._write, self.log, copied(content), is_best)
        self.last = replace(progress)
        if every == 1:  # which has no half
            self.finish()

    def check(self) -> None:
        """Raises OSError if the last checkpoint could not be written, without waiting for it."""
        if self._pending is not None and self._pending.done():
            self.finish()

    def finish(self) -> None:
        """Wait until the last checkpoint is on the disk.

        Raises:
            OSError: it cannot be written, with its name; the one before stays.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _write(self, log: TextIO, content: dict, is_best: bool) -> None:
        with naming(self.path.with_name(LOG_NAME)):
            os.fsync(log.fileno())
        write_checkpoint(self.path, content)
        if self.schedule.keep_last > 1:
            link_whole(self.path, self.path.with_name(NUMBERED.format(content["progress"]["iteration"])))
            numbered = sorted(self.path.parent.glob(NUMBERED.replace("{:08d}", "[0-9]*")))
            for old in numbered[: -self.schedule.keep_last]:
                old.unlink()
        if is_best and self.schedule.keep_best:
            link_whole(self.path, self.path.with_name(BEST))

    @contextmanager
    def saving_after_errors(self, progress: Progress) -> Iterator[None]:
        """Between steps, where an error of the data or of the log is no reason to lose what was learned."""
        try:
            yield
        except Exception:
            with suppress(OSError, DivergenceError):  # the first error says what is to be mended
                self.save(progress)
                self.finish()
            raise

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._writer.shutdown(wait=True)
        if kind is None:
            self.finish()
