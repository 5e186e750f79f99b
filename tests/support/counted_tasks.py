"""Tasks that note where and how often they are done, and end the process that does them."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Doubled:
    """Doubles numbers; the first time, 3 kills its process, and 5 is a mistake.

    Attributes:
        notes: folder in which each attempt leaves a file.
    """

    notes: Path
    mistakes: bool = False

    def __call__(self, number: int) -> int:
        attempts = len(list(self.notes.glob(f"{number}-*")))
        (self.notes / f"{number}-{attempts}").write_text(str(os.getpid()))
        if number == 3 and attempts == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 5 and self.mistakes:
            raise KeyError("five")
        return 2 * number
