"""Training: one step, the loop around it, and its checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from mofa3d.encoders.checkpoint import CHECKPOINT_NAME
from mofa3d.environment.processes import ALONE, Processes, means
from mofa3d.objective import Batch
from mofa3d.training.checkpoint import restore, save_checkpoint
from mofa3d.training.interruption import Interruption, Wish, noted
from mofa3d.training.keeper import Keeper
from mofa3d.training.log import opened_log
from mofa3d.training.progress import BestLoss, DivergenceError, Progress, Schedule, is_due, rate_factor


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


def _noted_by(processes: Processes) -> AbstractContextManager[Wish]:
    """One of several processes never ends at once: the others would wait for it.

    Schedulers send a signal to torchrun, which passes it on, and to the processes themselves.
    """
    if processes.count == 1:
        return noted("stopping after this step; another time ends at once, without saving")
    return noted("stopping after this step" if processes.leads else "", then_at_once=False)


def optimize(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: Callable[[Batch, int], Step],
    batches: Callable[[int], Iterator[Batch]],
    config: Schedule,
    out: Path,
    description: dict,
    resume: bool = False,
    data: Mapping[str, str] | None = None,
    processes: Processes = ALONE,
) -> Progress:
    """The loop of every training: step after step until a limit of `config` is reached, with log and checkpoints.

    In several processes, `step` works on the rows of each batch that `batches` gives in its process, and its total is a
    mean over them: gradients are averaged, so that all take the step that one process would take for the whole batch.

    Args:
        network, optimizer: what is trained, and how it moves.
        step: the losses of one batch, given the iteration.
        batches, config, out, description, resume, data, processes: see `train`.

    Raises:
        DivergenceError, Interruption, InputError, OSError: see `train`.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    progress, best, path = Progress(), BestLoss(), out / CHECKPOINT_NAME
    if resume and processes.leads:
        progress, best = restore(path, network, optimizer, description, data)
    elif processes.leads:  # whatever stops it from now on, it can be resumed
        save_checkpoint(path, network, optimizer, progress, description, data=dict(data or {}))
    together: AbstractContextManager[Callable[..., Step]] = nullcontext(step)
    if processes.count > 1:
        from mofa3d.training.data_parallel import begin_alike, in_parallel

        progress, best = begin_alike(network, optimizer, (progress, best), processes)
        together = in_parallel(network, step, processes)
    network.train()
    stream = batches(progress.iteration)
    with (
        _noted_by(processes) as wish,
        opened_log(out, config, progress, resume) if processes.leads else nullcontext() as log,
        together as step_on,
        Keeper(
            path,
            network,
            optimizer,
            description,
            data or {},
            None if log is None else log.file,
            config,
            best,
            replace(progress),
        ) as keeper,
    ):
        started = time.monotonic() - progress.seconds
        asked = 0  # by a signal to any process
        while progress.fraction(config) < 1 and not asked:
            factor = rate_factor(progress.fraction(config)) if config.decay else 1.0
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            with keeper.saving_after_errors(progress), processes.failing_together():
                batch = next(stream)
            found = step_on(batch, progress.iteration)
            said = processes.gather(float(found.total.detach()), time.monotonic() - started, wish.number)
            losses, seconds, signals = zip(*said, strict=True)
            loss = sum(losses) / processes.count
            if not math.isfinite(loss):
                values = means(found.terms, processes, with_nan=True)
                raise DivergenceError(
                    f"the loss is not finite at iteration {progress.iteration} ({values}); the last good checkpoint "
                    f"is {path}. Lower the learning rate and --resume"
                )
            optimizer.zero_grad(set_to_none=True)
            found.total.backward()
            optimizer.step()
            best.note(loss)
            progress.iteration += 1
            # What all processes go by: the first one's clock, and what any was asked.
            alone = processes.count == 1
            progress.seconds = time.monotonic() - started if alone else seconds[0]
            asked = wish.number if alone else int(max(signals))
            keeper.check()
            with keeper.saving_after_errors(progress):
                if log is not None:
                    log.advance(progress, config)
                if progress.iteration % config.log_every == 0:
                    values = means({**found.terms, **found.watch(), "loss": found.total[None]}, processes)
                    if log is not None:
                        log.record(progress, values)
            if is_due(config, progress, keeper.last.seconds):
                keeper.save(progress)
        keeper.save(progress)
        keeper.finish()
        asked = max(int(number) for (number,) in processes.gather(wish.number))
        if asked:
            raise Interruption(
                asked, f"stopped after iteration {progress.iteration}, saved in {path}; continue with --resume"
            )
    return progress
