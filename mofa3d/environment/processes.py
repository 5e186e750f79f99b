"""The processes of one training, as torchrun starts them: which this is, what it works on, how they agree.

They hold the same weights and go through the same iterations. Of every batch, each works on rows of its own.
"""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from mofa3d.environment import torchrun
from mofa3d.environment.machine import check_device
from mofa3d.errors import InputError

T = TypeVar("T")
PATIENCE = timedelta(hours=1)  # for a process that neither answers nor dies


class LostProcessError(ConnectionError):
    """Another process of the training has failed or was killed."""


@dataclass(frozen=True)
class Processes:
    """One of the processes that train together.

    Attributes:
        rank: its number; the first, 0, writes logs, reports and checkpoints.
        count: of all of them, on all machines.
        device: that this one works on.
    """

    rank: int = 0
    count: int = 1
    device: str = "cpu"

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def rows(self, batch_size: int) -> slice:
        """Rows of a batch that this process works on; all processes have equally many, so that means stay means.

        Raises:
            InputError: the batch cannot be divided.
        """
        if batch_size % self.count:
            raise InputError(
                f"a batch of {batch_size} cannot be divided among {self.count} processes; --batch-size counts the "
                f"photographs of all of them: give a multiple of {self.count}"
            )
        each = batch_size // self.count
        return slice(self.rank * each, (self.rank + 1) * each)

    def gather(self, *numbers: float) -> list[list[float]]:
        """What every process says, in the order of their ranks; all must ask the same.

        Raises:
            LostProcessError: one of them has ended.
        """
        mine = torch.tensor(numbers, dtype=torch.float64, device="cpu")
        if self.count == 1:
            return [mine.tolist()]
        rows = [torch.empty_like(mine) for _ in range(self.count)]
        with naming_the_lost():
            dist.all_gather(rows, mine)
        return torch.stack(rows).tolist()

    def hand_out(self, value: T) -> T:
        """The first process's value, which is the only one that counts.

        Raises:
            LostProcessError: see `gather`.
        """
        if self.count == 1:
            return value
        values = [value]
        with naming_the_lost():
            dist.broadcast_object_list(values, 0)
        return values[0]

    def collect(self, value: T) -> list[T]:
        """Every process's value, in the order of their ranks.

        Raises:
            LostProcessError: see `gather`.
        """
        if self.count == 1:
            return [value]
        values: list = [None] * self.count
        with naming_the_lost():
            dist.all_gather_object(values, value)
        return values

    @contextmanager
    def failing_together(self) -> Iterator[None]:
        """For what each process does by itself: if it fails in one of them, it fails in all.

        Raises:
            LostProcessError: it has failed in another one.
        """
        try:
            yield
        except Exception:
            with suppress(LostProcessError):  # which says less than the error
                self.gather(1.0)
            raise
        failed = [rank for rank, (wrong,) in enumerate(self.gather(0.0)) if wrong]
        if failed:
            raise LostProcessError(f"process {failed[0]} of {self.count} has failed; its own message says why")


ALONE = Processes()


def means(values: dict[str, Tensor], processes: Processes = ALONE, with_nan: bool = False) -> dict[str, float]:
    """The mean of each tensor over its numbers, and over those of all processes.

    Args:
        values: numbers of each.
        with_nan: let NaN make a mean NaN; otherwise, it is left out.
    """
    found = {name: value.detach() for name, value in values.items()}
    if processes.count == 1:
        return {name: float(value.mean() if with_nan else value.nanmean()) for name, value in found.items()}
    parts: list[float] = []
    for value in found.values():
        counted = torch.ones_like(value) if with_nan else ~value.isnan()
        parts += [float(value.sum() if with_nan else value.nansum()), float(counted.sum())]
    totals = torch.tensor(processes.gather(*parts), dtype=torch.float64, device="cpu").sum(0)
    sums, counts = totals.unflatten(0, (-1, 2)).unbind(1)
    return dict(zip(found, (sums / counts).tolist(), strict=True))


def join(device: str, batch_size: int) -> Processes:
    """Become one of the processes that torchrun has started, or work alone if there are no others.

    Processes on GPUs take one card each, by their number on their machine. Those that do not write say nothing but
    their errors.

    Args:
        device: that is to be used.
        batch_size: of all processes together.

    Raises:
        InputError: there is no such device, or no card for each process, or batches cannot be divided among them.
    """
    count = torchrun.count()
    if count == 1:
        check_device(device)
        return Processes(device=device)
    rank, number = torchrun.rank(), int(os.environ["LOCAL_RANK"])
    Processes(rank, count).rows(batch_size)
    on_cards = torch.device(device).type == "cuda"
    if on_cards:
        if torch.device(device).index is not None:
            raise InputError(f"--device {device} is one card, but there are {count} processes; give --device cuda")
        check_device(device)
        if number >= torch.cuda.device_count():
            raise InputError(
                f"process {number} of this machine has no card of its own, there are {torch.cuda.device_count()}; give "
                "torchrun a smaller --nproc-per-node"
            )
        torch.cuda.set_device(number)
        device = f"cuda:{number}"
    check_device(device)
    if not dist.is_initialized():
        with naming_the_lost():
            _begin("cpu:gloo,cuda:nccl" if on_cards else "gloo")
        atexit.register(_leave)
    if rank:
        logging.getLogger("mofa3d").setLevel(logging.ERROR)
    return Processes(rank, count, device)


def _begin(backend: str) -> None:
    store, rank, count = next(dist.rendezvous("env://", timeout=PATIENCE))
    if os.environ.get("GROUP_WORLD_SIZE") == "1":
        # torchrun keeps one store over its restarts, in which processes would find the addresses of those that died.
        store = dist.PrefixStore(f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=PATIENCE)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


@contextmanager
def naming_the_lost() -> Iterator[None]:
    """Turn PyTorch's errors about processes that have gone into one that says so.

    Raises:
        LostProcessError: one has gone.
    """
    try:
        yield
    except RuntimeError as error:
        # Gloo raises plain RuntimeErrors that name its transport's source file.
        if isinstance(error, dist.DistError) or "gloo" in str(error):
            atexit.unregister(_leave)  # which would wait for the lost
            reason = str(error).splitlines()[0]
            raise LostProcessError(
                f"another process of this training has ended, or cannot be reached, and its own message may say why "
                f"({reason}); the same command with --resume goes on from the last checkpoint"
            ) from error
        raise
