"""Edit a reconstructed face: pose, expression, light and skin, back into its photograph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mofa3d.api import Face
from mofa3d.data.photo import Photo
from mofa3d.decoder import Decoder
from mofa3d.editing.edit import Changes, change, draw
from mofa3d.environment.torch_settings import plain_settings
from mofa3d.files.whole_pictures import write_picture
from mofa3d.renderers import make_renderer
from mofa3d.scene import Scene
from mofa3d.semantic_code import SemanticCode


@dataclass(frozen=True)
class EditedFace:
    """A face after `edit`.

    Attributes:
        face: the edited face in the edited photograph, which can be edited again.
    """

    face: Face

    @property
    def image(self) -> Photo:
        """The whole photograph with the edited face in it."""
        return self.face.photo

    @property
    def code(self) -> SemanticCode:
        """The edited code: a batch of one."""
        return self.face.code

    @property
    def scene(self) -> Scene:
        """What the edited code stands for, in pixels of the crop: a batch of one."""
        return self.face.reconstruction.scene

    @plain_settings()
    def save(self, path: str | Path, **options) -> Path:
        """Write the edited photograph (``.png``), or the face as `Face.save` does, with its options.

        Raises:
            InputError: see `Face.save`.
        """
        path = Path(path)
        if path.suffix.lower() != ".png":
            return self.face.save(path, **options)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(path, self.image)
        return path


@plain_settings()
def edit(
    face: Face | EditedFace,
    *,
    yaw: float = 0.0,
    pitch: float = 0.0,
    roll: float = 0.0,
    move: tuple[float, float, float] = (0.0, 0.0, 0.0),
    neutral: bool = False,
    expression: Mapping[str, float] | None = None,
    expression_from: Face | EditedFace | SemanticCode | None = None,
    expression_neutral: Face | EditedFace | SemanticCode | None = None,
    light_from: Face | EditedFace | SemanticCode | None = None,
    light_direction: tuple[float, float, float] | None = None,
    ambient: float = 0.5,
    environment: str | Path | None = None,
    environment_turn: float = 0.0,
    exposure: float = 1.0,
    reflectance_from: Face | EditedFace | SemanticCode | None = None,
    reflectance_share: float = 1.0,
    lighten: float = 0.0,
    keep_detail: bool = True,
) -> EditedFace:
    """Change pose, expression, light or skin of a reconstructed face, and put it back into its photograph.

    Args:
        face: from `reconstruct`, or from an edit before.
        yaw, pitch, roll: degrees to turn the head to the right, up, and clockwise, as one sees it.
        move: millimetres to the right, up, and nearer.
        neutral: whether the face's own expression goes, before `expression` is added.
        expression: units and their strengths, as ``{"smile": 0.8}``; ``mofa3d edit --units`` lists them.
        expression_from: another face, whose expression to take.
        expression_neutral: the same person at rest: only the difference is taken.
        light_from: another face, whose light to take; or give a lamp, or surroundings:
        light_direction: to a lamp: right, up, and towards the viewer.
        ambient: light from everywhere beside that lamp of strength 1.
        environment: an equirectangular picture (PNG, JPEG, .hdr) of the surroundings; its middle lies behind the face.
        environment_turn: degrees to turn the surroundings to the right.
        exposure: brightness of the face in the light of a lamp or of surroundings, over what it was.
        reflectance_from: another face, whose skin to take.
        reflectance_share: how much of it, 0 to 1.
        lighten: by how much to make the skin lighter, in display RGB; below 0, darker.
        keep_detail: whether to keep what the photograph shows of the face; else the face model's own smooth face is
            drawn.

    Raises:
        InputError: a number is out of range, options do not go together, there is no such unit or environment map,
            another face is of another face model, or the light leaves the face in the dark.
    """
    changes = Changes(
        yaw=yaw,
        pitch=pitch,
        roll=roll,
        move=move,
        neutral=neutral,
        expression=expression or {},
        expression_from=_code_of(expression_from),
        expression_neutral=_code_of(expression_neutral),
        light_from=_code_of(light_from),
        light_direction=light_direction,
        ambient=ambient,
        environment=None if environment is None else Path(environment),
        environment_turn=environment_turn,
        exposure=exposure,
        reflectance_from=_code_of(reflectance_from),
        reflectance_share=reflectance_share,
        lighten=lighten,
    )
    before = face.face if isinstance(face, EditedFace) else face
    found, writer = before.reconstruction, before.writer
    decode = Decoder(writer.model, found.scene.camera)
    sharp = make_renderer("cpu", antialias=False) if keep_detail else None
    code = change(found.code, changes, decode, tilt=found.transform.roll)
    photo, edited = draw(before.photo, found, code, decode, writer.render, sharp)
    return EditedFace(Face(f"{before.name} (edited)", photo, edited, writer))


def _code_of(other: Face | EditedFace | SemanticCode | None) -> SemanticCode | None:
    return other.code if isinstance(other, Face | EditedFace) else other
