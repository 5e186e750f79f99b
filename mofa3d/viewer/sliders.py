"""The sliders of the page, and what they do to a code."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from mofa3d.editing.codes import add_expression, relight, turn
from mofa3d.editing.face_measures import Measure
from mofa3d.editing.lighting import directional_light, exposed, together
from mofa3d.harmonics import rolled
from mofa3d.models.expression_units import Units
from mofa3d.numeric_options import within
from mofa3d.semantic_code import CodeSizes, SemanticCode

# Block of the code, title, label of one, and how many of its leading numbers have a slider.
COLUMNS = (
    ("shape", "Shape of the head", "Shape", 8),
    ("expression", "Expression", "Expression", 8),
    ("reflectance", "Skin color", "Skin", 6),
)
USUAL = 3.0  # standard deviations either way
# Units of `mofa3d.models.expression_units` that have a slider, and their labels.
UNITS = {
    "jawOpen": "Open the jaw",
    "smile": "Smile",
    "frown": "Mouth corners down",
    "mouthPucker": "Pucker the lips",
    "mouthFunnel": "Round the lips",
    "cheekPuff": "Puff the cheeks",
    "jawForward": "Jaw forward",
    "blink": "Close the eyes",
    "squint": "Squint",
    "browRaise": "Raise the brows",
    "browLower": "Lower the brows",
    "sneer": "Wrinkle the nose",
}


@dataclass(frozen=True)
class Slider:
    """One slider.

    Attributes:
        name: unique on the page.
        label: in plain words.
        low, high, step: what it can say.
        rest: where it stands before it is moved; ``None`` means at the estimated number of the code.
        unit: shown behind the number.
    """

    name: str
    label: str
    low: float
    high: float
    step: float
    rest: float | None = None
    unit: str = ""

    def text(self, value: float) -> str:
        """The value as it is shown."""
        decimals = 0 if self.step >= 1 else 2 if self.step < 0.1 else 1
        return f"{value:.{decimals}f}{self.unit}".replace("-", "−")


@dataclass(frozen=True)
class Group:
    """Sliders under one title.

    Attributes:
        more: whether it is for those who know the face model.
    """

    title: str
    sliders: tuple[Slider, ...]
    more: bool = False


POSE = Group(
    "Pose",
    (
        Slider("yaw", "Turn left / right", -60, 60, 1, 0.0, "°"),
        Slider("pitch", "Nod down / up", -45, 45, 1, 0.0, "°"),
        Slider("roll", "Tilt left / right", -45, 45, 1, 0.0, "°"),
    ),
)
LIGHT = Group(
    "Light",
    (
        Slider("kept", "Light of the photograph", 0, 1.5, 0.05, 1.0, "×"),
        Slider("ambient", "Ambient light", 0, 1, 0.05, 0.0),
        Slider("lamp", "Lamp: strength", 0, 1.5, 0.05, 0.0),
        Slider("azimuth", "Lamp: left / right", -90, 90, 5, 40.0, "°"),
        Slider("elevation", "Lamp: below / above", -90, 90, 5, 30.0, "°"),
    ),
)
LIT, DIMMED = 0.8, 0.4  # a lamp that is taken up, and the photograph's light then
OWN = Slider("own", "Own expression", 0, 1.5, 0.05, 1.0, "×")


def slider_groups(sizes: CodeSizes, units: Units, measures: Mapping[str, Measure] | None = None) -> tuple[Group, ...]:
    """All groups of sliders for a face model with codes of these sizes, these units of expression and measures.

    Expressions have the sliders of `UNITS`; those of a model without these names have the leading numbers of the code.
    The leading numbers of shape and reflectance come last.
    """
    named = tuple(Slider(unit, label, -1, 1.5, 0.05, 0.0) for unit, label in UNITS.items() if unit in units)
    groups = [POSE, Group("Expression", (OWN, *named) if named else ())]
    groups += [Group("Shape of the face", tuple(map(_of_measure, (measures or {}).items()))), LIGHT]
    for block, title, label, count in COLUMNS:
        if block == "expression" and named:
            continue
        numbers = range(min(count, getattr(sizes, block)))
        sliders = (Slider(f"{block} {i}", f"{label} {i + 1}", -USUAL, USUAL, 0.05) for i in numbers)
        groups.append(Group(title, tuple(sliders), more=True))
    return tuple(group for group in groups if group.sliders)


def _of_measure(item: tuple[str, Measure]) -> Slider:
    name, measure = item
    end = max(1, round(USUAL * measure.deviation))
    return Slider(name, measure.label, -end, end, 0.1, 0.0, " mm")


def resting(slider: Slider, code: SemanticCode) -> float:
    """Where a slider stands for an estimated code (a batch of one)."""
    if slider.rest is not None:
        return slider.rest
    block, index = slider.name.split()
    return round(float(getattr(code, block)[0, int(index)]), 2)


def reach(slider: Slider, value: float) -> tuple[float, float]:
    """The slider's ends, moved out to whole numbers if the estimate is beyond them."""
    return min(slider.low, math.floor(value)), max(slider.high, math.ceil(value))


def edited(
    code: SemanticCode,
    values: Mapping[str, float],
    units: Units,
    tilt: float = 0.0,
    measures: Mapping[str, Measure] | None = None,
) -> SemanticCode:
    """The code that sliders ask for.

    Args:
        code: estimated, a batch of one.
        values: of the sliders that were moved, by their names; all other numbers of the code stay as they are.
        units: as in `slider_groups`.
        tilt: roll of the code's crop in its photograph, degrees: directions are given as the photograph shows them.
        measures: as in `slider_groups`.

    Raises:
        InputError: a value that no slider has.
    """
    for name, value in values.items():
        within(name, value, -1000, 1000)
    for block, *_ in COLUMNS:
        numbers = getattr(code, block).clone()
        for name, value in values.items():
            if name.startswith(f"{block} "):
                numbers[0, int(name.split()[1])] = value
        code = code.replace(**{block: numbers})
    for name, measure in (measures or {}).items():
        if name in values:
            code = code.replace(shape=code.shape + values[name] * measure.direction.to(code.shape))
    fixed = (*POSE.sliders, *LIGHT.sliders)  # sliders that all rest at a number
    set_to = {slider.name: values.get(slider.name, cast(float, slider.rest)) for slider in fixed}
    if values.keys() & {slider.name for slider in POSE.sliders}:
        code = turn(code, set_to["yaw"], set_to["pitch"], set_to["roll"], tilt)
    if values.keys() & {slider.name for slider in LIGHT.sliders}:
        towards, color = _towards(set_to["azimuth"], set_to["elevation"]), 3 * (set_to["lamp"],)
        added = rolled(directional_light(towards, color, set_to["ambient"]), -tilt)
        code = relight(code, together(exposed(code.illumination, set_to["kept"]), added))
    code = code.replace(expression=values.get(OWN.name, cast(float, OWN.rest)) * code.expression)
    return add_expression(code, units, {unit: values[unit] for unit in UNITS if unit in values})


def _towards(azimuth: float, elevation: float) -> tuple[float, float, float]:
    """The direction that is so many degrees to the right of the picture and upwards."""
    around, up = math.radians(azimuth), math.radians(elevation)
    return math.sin(around) * math.cos(up), math.sin(up), math.cos(around) * math.cos(up)


def aimed(right: float, up: float, moved: Mapping[str, float]) -> dict[str, float]:
    """Where the sliders of `LIGHT` stand for a lamp that is held at a place in front of the face.

    A lamp that did not shine is lit, and the photograph's own light dimmed, or it would hardly show.

    Args:
        right, up: the place, in units of a ball around the face; outside the ball, its edge is meant.
        moved: the sliders that were moved.
    """
    far = max(1.0, math.hypot(right, up))
    right, up = right / far, up / far
    azimuth = math.degrees(math.atan2(right, math.sqrt(max(0.0, 1 - right**2 - up**2))))
    values = {"azimuth": azimuth, "elevation": math.degrees(math.asin(up))}
    return values if moved.get("lamp", 0.0) > 0 else {**values, "lamp": LIT, "kept": DIMMED}
