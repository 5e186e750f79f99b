"""Edit a reconstructed face: change its code, and draw the result into its photograph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from mofa3d import harmonics
from mofa3d.data.photo import Photo
from mofa3d.decoder import Decoder
from mofa3d.editing import codes, lighting
from mofa3d.editing.composite import composite
from mofa3d.editing.limits import check_numbers_of, check_together
from mofa3d.errors import InputError
from mofa3d.fitting.delighting import front_light
from mofa3d.models.expression_units import Units, expression_units
from mofa3d.reconstruction.reconstructor import Reconstruction, lay_over
from mofa3d.scene import Renderer
from mofa3d.semantic_code import SemanticCode


@dataclass(frozen=True)
class Changes:
    """What to change about a face; nothing by default. Directions are as one sees them in the photograph.

    Attributes:
        yaw, pitch, roll: degrees to turn the head to the right, up, and clockwise.
        move: millimetres to the right, up, and nearer.
        neutral: whether the face's own expression goes, before `expression` is added.
        expression: strength of each unit to add; see `mofa3d.models.expression_units.expression_units`.
        expression_from: the face whose expression to take.
        expression_neutral: the same person at rest: only the difference is taken.
        light_from: the face whose light to take; or a lamp, or an environment map:
        light_direction: to a lamp: right, up, and towards the viewer.
        ambient: light from everywhere beside that lamp of strength 1.
        environment: an equirectangular picture (PNG, JPEG, .hdr) whose middle lies behind the face.
        environment_turn: degrees to turn the surroundings to the right.
        exposure: brightness of the face in the light of a lamp or of surroundings, over what it was.
        reflectance_from: the face whose skin to take.
        reflectance_share: how much of it, 0 to 1.
        lighten: by how much to make the skin lighter, in display RGB; below 0, darker.

    Raises:
        InputError: a number is out of range, or two options do not go together.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    move: tuple[float, float, float] = (0.0, 0.0, 0.0)
    neutral: bool = False
    expression: Mapping[str, float] = field(default_factory=dict)
    expression_from: SemanticCode | None = None
    expression_neutral: SemanticCode | None = None
    light_from: SemanticCode | None = None
    light_direction: tuple[float, float, float] | None = None
    ambient: float = 0.5
    environment: Path | None = None
    environment_turn: float = 0.0
    exposure: float = 1.0
    reflectance_from: SemanticCode | None = None
    reflectance_share: float = 1.0
    lighten: float = 0.0

    def __post_init__(self) -> None:
        check_numbers_of(self)
        check_together(self)


@torch.no_grad()
def change(
    code: SemanticCode, changes: Changes, decode: Decoder, units: Units | None = None, tilt: float = 0.0
) -> SemanticCode:
    """The code with every change.

    Args:
        decode: of the face model of all the codes.
        units: of expression, if they are at hand.
        tilt: roll of the code's crop in its photograph, degrees: directions of movements, lamps and surroundings are
            given as the photograph shows them.

    Raises:
        InputError: there is no such unit of expression or environment map, a code is of another face model, or the
            light leaves the face in the dark.
    """
    if changes.yaw or changes.pitch or changes.roll:
        code = codes.turn(code, changes.yaw, changes.pitch, changes.roll, tilt)
    code = codes.move(code, *changes.move, tilt)
    if changes.neutral:
        code = codes.neutral(code)
    if changes.expression_from is not None:
        code = codes.transfer_expression(code, changes.expression_from, changes.expression_neutral)
    if changes.expression:
        units = expression_units(decode.model) if units is None else units
        code = codes.add_expression(code, units, changes.expression)
    if changes.reflectance_from is not None:
        code = codes.blend_reflectance(code, changes.reflectance_share, changes.reflectance_from)
    if changes.lighten:
        code = codes.lighten(code, decode.model, changes.lighten)
    return _relit(code, changes, decode, tilt)


@torch.no_grad()
def draw(
    photo: Photo, found: Reconstruction, code: SemanticCode, decode: Decoder, render: Renderer, sharp: Renderer | None
) -> tuple[Photo, Reconstruction]:
    """The photograph with a face of another code in place of its own, and that face.

    Args:
        photo: the whole photograph.
        found: the face in it.
        code: the edited one.
        decode: made `found`.
        render: a raster backend with a black background, as ``make_renderer("cpu")``.
        sharp: the same without antialiasing: what the photograph shows of the face is kept. ``None`` draws the face
            model's own smooth face.
    """
    edited = replace(found, code=code, scene=decode(code))
    if sharp is None:
        return lay_over(photo, edited, render, start=found), edited
    return composite(photo, found, edited.scene, decode.model, render, sharp), edited


def _relit(code: SemanticCode, changes: Changes, decode: Decoder, tilt: float) -> SemanticCode:
    if changes.light_from is not None:
        return codes.relight(code, changes.light_from.illumination)
    if changes.light_direction is not None:
        light = lighting.directional_light(changes.light_direction, ambient=changes.ambient)
    elif changes.environment is not None:
        surroundings = lighting.read_environment(Path(changes.environment))
        light = lighting.environment_light(*surroundings, changes.environment_turn)
    else:
        return code
    relit = codes.relight(code, harmonics.rolled(light, -tilt))
    before, after = front_light(decode(code)), front_light(decode(relit))
    if not float(after) > 0:
        raise InputError("the light leaves the face in the dark; turn it, or give another one")
    return codes.relight(code, lighting.exposed(relit.illumination, changes.exposure * before / after))
