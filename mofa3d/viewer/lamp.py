"""A lamp on the page that visitors drag around the face."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable

from nicegui import events, ui

from mofa3d.errors import InputError
from mofa3d.viewer.session import Session
from mofa3d.viewer.sliders import LIGHT

AZIMUTH, ELEVATION, STRENGTH = (
    next(slider for slider in LIGHT.sliders if slider.name == name) for name in ("azimuth", "elevation", "lamp")
)


class Lamp(ui.element, component="lamp.js"):
    """A ball with a lamp before it.

    Args:
        session: whose face it lights.
        changed: is called when it was moved.
    """

    def __init__(self, session: Session, changed: Callable[[], None]) -> None:
        super().__init__()
        self.session, self._changed = session, changed
        self._props.update(right=0.0, up=0.0, lit=False)
        self.on("aim", self._aim, throttle=0.05)
        self.on("settle", self._settle)

    def place(self) -> None:
        """Show where the sliders of the chosen face have the lamp."""
        azimuth, elevation = (math.radians(self.session.value(slider)) for slider in (AZIMUTH, ELEVATION))
        self._props.update(
            right=math.sin(azimuth) * math.cos(elevation),
            up=math.sin(elevation),
            lit=self.session.value(STRENGTH) > 0,
        )
        self.update()

    def _aim(self, event: events.GenericEventArguments) -> None:
        match event.args:
            case [int() | float() as right, int() | float() as up] if math.isfinite(right) and math.isfinite(up):
                with contextlib.suppress(InputError):  # no photograph: no page sends that
                    self.session.aim(right, up)
                    self._changed()

    def _settle(self) -> None:
        with contextlib.suppress(InputError):
            self.session.settle()
