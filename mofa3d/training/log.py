"""What a training reports while it runs: ``metrics.jsonl``, TensorBoard's files, and a progress bar."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from mofa3d.files.whole import naming, write_text
from mofa3d.training.progress import Progress, Schedule

LOG_NAME = "metrics.jsonl"


def make_bar(config: Schedule, progress: Progress) -> tqdm:
    """A progress bar of seconds if the training is limited in time, else of iterations."""
    if config.minutes:
        total, form = 60 * config.minutes, "{l_bar}{bar}| {n:.0f}/{total:.0f} s{postfix}"
        initial = min(progress.seconds, total)  # tqdm takes no start beyond the end
        return tqdm(total=total, initial=initial, bar_format=form, dynamic_ncols=True, mininterval=1)
    return tqdm(total=config.iterations, initial=progress.iteration, unit="it", dynamic_ncols=True, mininterval=1)


@dataclass
class Log:
    """Where a training writes to; TensorBoard and the bar only repeat what ``metrics.jsonl`` keeps."""

    file: TextIO
    board: SummaryWriter
    bar: tqdm

    def advance(self, progress: Progress, config: Schedule) -> None:
        """Move the bar by a step."""
        self.bar.update(min(progress.seconds, self.bar.total) - self.bar.n if config.minutes else 1)

    def record(self, progress: Progress, means: dict[str, float]) -> None:
        """Write one line of ``metrics.jsonl``, and the same to TensorBoard and the progress bar; NaN is left out."""
        means = {name: value for name, value in means.items() if math.isfinite(value)}
        line = {"iteration": progress.iteration, "seconds": round(progress.seconds, 2), **means}
        with naming(Path(self.file.name)):
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()
        for name, value in means.items():
            self.board.add_scalar(name, value, progress.iteration)
        shown = {"photo": "photometric_error", "px": "landmark_error", "area": "area_ratio"}
        errors = {label: f"{means[name]:.3f}" for label, name in shown.items() if name in means}
        self.bar.set_postfix({"it": progress.iteration, **errors}, refresh=False)


@contextmanager
def opened_log(out: Path, config: Schedule, progress: Progress, resume: bool) -> Iterator[Log]:
    """The log of a training, which begins or goes on; lines after `progress` are dropped."""
    if resume:
        forget_after(progress.iteration, out / LOG_NAME)
    with (
        naming(out),
        SummaryWriter(out, purge_step=progress.iteration if resume else None) as board,
        open(out / LOG_NAME, "a" if resume else "w", encoding="utf-8") as file,
        make_bar(config, progress) as bar,
    ):
        yield Log(file, board, bar)


def forget_after(iteration: int, log: Path) -> None:
    """Drop the lines of ``metrics.jsonl`` that a resumed training will write again."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")[:-1] if log.exists() else []
    # What was being written when the training died, or its computer, may be anything.
    write_text(log, "".join(f"{line}\n" for line in lines if 0 < _iteration_of(line) <= iteration))


def _iteration_of(line: str) -> int:
    """The iteration that a line of ``metrics.jsonl`` is about; 0 for what is no such line."""
    try:
        return int(json.loads(line)["iteration"])
    except (ValueError, TypeError, KeyError):  # of int() and json
        return 0
