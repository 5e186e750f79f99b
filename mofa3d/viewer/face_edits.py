"""What a visitor has changed about one face, step by step, so that every step can be taken back."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

MOST_STEPS = 200  # that are kept
LATE = 0.2  # seconds by which the last movement of a slider may come after its being let go


@dataclass(frozen=True)
class Edit:
    """One state of a face.

    Attributes:
        moved: where the sliders stand that were moved, by their names.
        refined: whether the changes are made to the refined reconstruction.
    """

    moved: Mapping[str, float] = field(default_factory=dict)
    refined: bool = False


class FaceEdits:
    """The states of a face up to now, and those that were taken back."""

    def __init__(self) -> None:
        self.now = Edit()
        self._past: list[Edit] = []
        self._future: list[Edit] = []
        self._moving = ""  # the slider that is held: all its movements are one step
        self._until = math.inf  # when it is no longer

    @property
    def can_undo(self) -> bool:
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        return bool(self._future)

    def move(self, name: str, value: float) -> None:
        """Move a slider; until `settle`, further movements of it belong to the same step."""
        self._step(replace(self.now, moved={**self.now.moved, name: value}), name)

    def move_together(self, values: Mapping[str, float], held: str) -> None:
        """Move several sliders by one handle; `held` names it."""
        self._step(replace(self.now, moved={**self.now.moved, **values}), held)

    def settle(self) -> None:
        """The slider was let go."""
        self._until = time.monotonic() + LATE

    def clear(self) -> None:
        """All sliders back to the estimate, as one step."""
        if self.now.moved:
            self._step(replace(self.now, moved={}))

    def refine(self, refined: bool) -> None:
        """Change the reconstruction that the sliders start from."""
        if refined != self.now.refined:
            self._step(replace(self.now, refined=refined))

    def undo(self) -> bool:
        """Take a step back; whether there was one."""
        return self._walk(self._past, self._future)

    def redo(self) -> bool:
        """Take a step again; whether there was one."""
        return self._walk(self._future, self._past)

    def _step(self, then: Edit, moving: str = "") -> None:
        if not moving or moving != self._moving or time.monotonic() > self._until:
            self._until = math.inf
            self._past = [*self._past, self.now][-MOST_STEPS:]
        self._future = []
        self._moving = moving
        self.now = then

    def _walk(self, source: list[Edit], target: list[Edit]) -> bool:
        self._moving = ""
        if not source:
            return False
        target.append(self.now)
        self.now = source.pop()
        return True
