"""When a training ends, logs and saves, where it stands, and which of its checkpoints was the best."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

from mofa3d.errors import InputError
from mofa3d.numeric_options import MOST, check_kinds, check_ranges


class DivergenceError(RuntimeError):
    """The loss became NaN or infinite; the last good checkpoint is on disk."""


@runtime_checkable
class Schedule(Protocol):
    """When a training ends, logs and saves; see `TrainingConfig` for what the values mean."""

    @property
    def iterations(self) -> int: ...
    @property
    def minutes(self) -> float: ...
    @property
    def decay(self) -> bool: ...
    @property
    def log_every(self) -> int: ...
    @property
    def checkpoint_every(self) -> int: ...
    @property
    def checkpoint_minutes(self) -> float: ...
    @property
    def keep_last(self) -> int: ...
    @property
    def keep_best(self) -> bool: ...


def check_schedule(config: Any, **ranges: tuple[float, float]) -> None:
    """Refuse what no training can follow.

    Args:
        config: a dataclass, a `Schedule` with ``batch_size`` and ``learning_rate``.
        ranges: least and most of its other fields, see `mofa3d.numeric_options.check_ranges`.

    Raises:
        InputError: it is that.
    """
    if config.iterations < 1 or config.batch_size < 1:
        raise InputError(
            f"iterations and batch_size must be at least 1, got {config.iterations} and {config.batch_size}"
        )
    anything = dict.fromkeys(("minutes", "checkpoint_every", "checkpoint_minutes"), (0, MOST))
    check_ranges(config, **anything, learning_rate=(0, 1000), log_every=(1, MOST), keep_last=(1, 10_000), **ranges)


@dataclass
class Progress:
    """Where a training stands; saved with every checkpoint."""

    iteration: int = 0
    seconds: float = 0.0

    def describe(self, batch_size: int) -> str:
        """For reports."""
        return f"{self.iteration} iterations of {batch_size} in {self.seconds / 60:.1f} min"

    def numbers(self, batch_size: int) -> dict[str, float]:
        """The numbers of `describe`, for programs."""
        return {"iterations": self.iteration, "batch": batch_size, "minutes": self.seconds / 60}

    def fraction(self, config: Schedule) -> float:
        by_time = self.seconds / (60 * config.minutes) if config.minutes else 0.0
        return max(self.iteration / config.iterations, by_time)


@dataclass
class BestLoss:
    """The mean loss of the steps between checkpoints, and the lowest so far; saved with every checkpoint.

    Attributes:
        total, steps: of the losses since the last interval ended.
        lowest: mean over an interval.
    """

    total: float = 0.0
    steps: int = 0
    lowest: float = math.inf

    def note(self, loss: float) -> None:
        """Count the loss of a step."""
        self.total += loss
        self.steps += 1

    def end_interval(self) -> bool:
        """Begin with the next interval; whether the last one had the lowest mean."""
        mean = self.total / max(self.steps, 1)
        is_lowest = mean < self.lowest
        self.total, self.steps, self.lowest = 0.0, 0, min(mean, self.lowest)
        return is_lowest

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: object) -> BestLoss:
        """What a checkpoint says; one of an older version says nothing.

        Raises:
            InputError: it says something else.
        """
        try:
            found = cls(**(values or {}))  # type: ignore[arg-type]
            check_kinds(asdict(found), int | float)
        except TypeError as error:
            raise InputError(f"the checkpoint's record of its lowest loss is damaged ({error})") from None
        return found


def rate_factor(progress: float, warm_up: float = 0.02, floor: float = 0.05) -> float:
    """Learning-rate factor at a progress in 0 to 1: linear warm-up, then half a cosine down to `floor`."""
    if progress < warm_up:
        return max(progress / warm_up, 0.05)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - warm_up) / (1 - warm_up))))


def is_due(schedule: Schedule, progress: Progress, saved: float) -> bool:
    """Whether it is time to begin a checkpoint, where the last one holds what was known after so many seconds.

    One is begun every half interval, and the next one waits for it to be on the disk: so a killed process never loses
    more than an interval, however long writing takes.
    """
    every = schedule.checkpoint_every
    by_steps = every and progress.iteration % every in (0, every // 2)
    by_time = schedule.checkpoint_minutes and progress.seconds - saved >= 30 * schedule.checkpoint_minutes
    return bool(by_steps or by_time)
