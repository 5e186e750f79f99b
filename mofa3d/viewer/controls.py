"""The page's sliders, with what takes their movements back."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from functools import partial

from nicegui import events, ui

from mofa3d.errors import InputError
from mofa3d.viewer.session import Session
from mofa3d.viewer.sliders import Group, Slider, reach

OPEN_GROUPS = ("Pose", "Expression")


class Controls:
    """The sliders of all groups.

    Args:
        session: whose face they change.
        changed: is called when they did.
        refine: is called with whether the face is to be fitted more closely.
    """

    def __init__(
        self, session: Session, changed: Callable[[], None], refine: Callable[[bool], Awaitable[None]]
    ) -> None:
        self.session, self._changed, self._refine = session, changed, refine
        self._rows: list[tuple[Slider, ui.slider]] = []
        with ui.element("div").classes("bar"):
            ui.label("Change the face").classes("name")
            self._undo = self._button("undo", "Undo", "Undo (Ctrl+Z)", Session.undo)
            self._redo = self._button("redo", "Redo", "Redo (Ctrl+Y)", Session.redo)
            self._reset = self._button("restart_alt", "Reset", "Back to the estimate", Session.reset)
        with ui.element("div").classes("controls"):
            self._refined = ui.switch("Refine: fit the face more closely").props("dense").classes("refine")
            # As below, only what the visitor does.
            self._refined.on("update:model-value", self._ask_to_refine, js_handler="(on) => emit(on)")
            groups = session.tools.sliders
            for group in groups:
                if not group.more:
                    self._group(group)
            with ui.expansion("More: coefficients of the face model").classes("w-full more"):
                for group in groups:
                    if group.more:
                        self._group(group)

    def update(self) -> None:
        """Set the sliders to where they stand for the chosen face."""
        for slider, knob in self._rows:
            low, high = reach(slider, self.session.rest(slider))
            knob.props["min"], knob.props["max"] = low, high
            knob.set_value(self.session.value(slider))
        self.update_steps()

    def update_steps(self) -> None:
        """Switch the buttons on and off."""
        edits = self.session.now.edits
        self._undo.set_enabled(edits.can_undo)
        self._redo.set_enabled(edits.can_redo)
        self._reset.set_enabled(bool(edits.now.moved))
        self._refined.set_value(edits.now.refined)

    async def _ask_to_refine(self, event: events.GenericEventArguments) -> None:
        if self.session.has_photograph:
            await self._refine(event.args is True)

    def _button(self, icon: str, label: str, tip: str, act: Callable[[Session], None]) -> ui.button:
        def click() -> None:
            with contextlib.suppress(InputError):  # no photograph: no page sends that
                act(self.session)
                self.update()
                self._changed()

        button = ui.button(icon=icon, on_click=click).props("flat dense round").tooltip(tip)
        button.props["aria-label"], button.props["data-key"] = label, label.lower()
        return button

    def _group(self, group: Group) -> None:
        with (
            ui.expansion(group.title, value=group.title in OPEN_GROUPS).classes("w-full"),
            ui.element("div").classes("rows"),
        ):
            for slider in group.sliders:
                self._row(slider)

    def _row(self, slider: Slider) -> None:
        with ui.element("div").classes("row-slider"):
            ui.label(slider.label)
            knob = ui.slider(min=slider.low, max=slider.high, step=slider.step, value=slider.rest or 0.0)
            knob.props("dense")
            knob.props["aria-label"] = slider.label  # Python 3.11 may fail to parse quotes while other threads compile
            # Only what the visitor does: setting the value below must not count as moving the slider.
            knob.on("update:model-value", partial(self._move, slider), throttle=0.05)
            knob.on("change", self._settle)
            ui.label().classes("number").bind_text_from(knob, "value", slider.text)
        self._rows.append((slider, knob))

    def _move(self, slider: Slider, event: events.GenericEventArguments) -> None:
        with contextlib.suppress(InputError):  # no number, or no photograph: no page sends that
            self.session.move(slider, event.args)
            self.update_steps()
            self._changed()

    def _settle(self) -> None:
        with contextlib.suppress(InputError):
            self.session.settle()
