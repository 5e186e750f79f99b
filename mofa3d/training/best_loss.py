"""Which checkpoint had the lowest training loss."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from mofa3d.errors import InputError
from mofa3d.numeric_options import check_kinds


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
