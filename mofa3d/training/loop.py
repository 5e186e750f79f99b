"""Training: one step, the loop around it, and its checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from mofa3d.encoders.checkpoint import CHECKPOINT_NAME
from mofa3d.files.whole import naming
from mofa3d.objective import Batch
from mofa3d.training.checkpoint import _Keeper, restore, save_checkpoint
from mofa3d.training.interruption import Interruption, noted
from mofa3d.training.log import LOG_NAME, forget_after, make_bar, record
from mofa3d.training.progress import DivergenceError, Progress, Schedule, is_due, rate_factor


@dataclass(frozen=True)
class Step:
    """What one batch came to.

    Attributes:
        terms: unweighted losses, for the log.
        total: their weighted sum, which is lowered.
        watch: gives the errors that are logged beside them; called only when a line is written.
    """

    terms: dict[str, Tensor]
    total: Tensor
    watch: Callable[[], dict[str, Tensor]] = dict


def optimize(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: Callable[[Batch, int], Step],
    batches: Callable[[int], Iterator[Batch]],
    config: Schedule,
    out: Path,
    description: dict,
    resume: bool = False,
) -> Progress:
    """The loop of every training: step after step until a limit of `config` is reached, with log and checkpoints.

    Args:
        network, optimizer: what is trained, and how it moves.
        step: the losses of one batch, given the iteration.
        batches, config, out, description, resume: see `train`.

    Raises:
        DivergenceError, Interruption, InputError, OSError: see `train`.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    progress, path = Progress(), out / CHECKPOINT_NAME
    if resume:
        progress = restore(path, network, optimizer, description)
        forget_after(progress.iteration, out / LOG_NAME)
    else:  # whatever stops it from now on, it can be resumed
        save_checkpoint(path, network, optimizer, progress, description)
    network.train()
    stream = batches(progress.iteration)
    # TensorBoard and the bar only repeat what metrics.jsonl keeps.
    with (
        noted("stopping after this step; another time ends at once, without saving") as wish,
        naming(out),
        SummaryWriter(out, purge_step=progress.iteration if resume else None) as board,
        open(out / LOG_NAME, "a" if resume else "w", encoding="utf-8") as log,
        make_bar(config, progress) as bar,
    ):
        keeper = _Keeper(path, network, optimizer, description, log, progress.iteration, progress.seconds)
        started = time.monotonic() - progress.seconds
        while progress.fraction(config) < 1 and not wish.number:
            factor = rate_factor(progress.fraction(config)) if config.decay else 1.0
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            with keeper.saving_after_errors(progress):
                batch = next(stream)
            found = step(batch, progress.iteration)
            if not torch.isfinite(found.total):
                values = {name: float(term.detach().mean()) for name, term in found.terms.items()}
                raise DivergenceError(
                    f"the loss is not finite at iteration {progress.iteration} ({values}); the last good checkpoint "
                    f"is {path}. Lower the learning rate and --resume"
                )
            optimizer.zero_grad(set_to_none=True)
            found.total.backward()
            optimizer.step()
            progress.iteration += 1
            progress.seconds = time.monotonic() - started
            with keeper.saving_after_errors(progress):
                bar.update(min(progress.seconds, bar.total) - bar.n if config.minutes else 1)
                if progress.iteration % config.log_every == 0:
                    record(progress, {**found.terms, **found.watch(), "loss": found.total[None]}, board, log, bar)
            if is_due(config, progress, keeper.seconds):
                keeper.save(progress)
        keeper.save(progress)
        if wish.number:
            raise Interruption(
                wish.number, f"stopped after iteration {progress.iteration}, saved in {path}; continue with --resume"
            )
    return progress
