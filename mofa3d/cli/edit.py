"""``mofa3d edit``: change pose, expression, light or skin of a reconstructed face, and put it back into its photograph.

What is not needed for the command line itself is imported when the command runs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from mofa3d.cli.program import Flag
from mofa3d.editing.limits import check_numbers_of, check_together
from mofa3d.encoders.weights import SHIPPED
from mofa3d.errors import InputError

if TYPE_CHECKING:
    from mofa3d.data.photo import Photo
    from mofa3d.editing.edit import Changes
    from mofa3d.models.expression_units import Units
    from mofa3d.reconstruction.reconstructor import Reconstruction, Reconstructor
    from mofa3d.reconstruction.reopen import Reopened
    from mofa3d.semantic_code import SemanticCode


PICTURE = "edited.png"
EDITED = "edited"  # what the record of an edit says that it was made from
OTHERS = ("expression_from", "expression_neutral", "light_from", "reflectance_from")  # options that name other faces

Other = Annotated[Path | None, arg(metavar="OTHER")]


@dataclass(frozen=True)
class Edit:
    """Change the pose, expression, light or skin of a face, and put it back into its photograph.

    OTHER is a photograph, the folder of one reconstructed face, or its code.json. Left, right and up are as you see
    them in the photograph.
    """

    input: Annotated[Positional[Path | None], arg(metavar="PHOTO")] = None
    """A photograph, or the folder of one reconstructed face."""
    out: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Folder for edited.png, code.json and mesh.glb."""
    force: Flag = False
    """Replace an existing edit."""
    units: Flag = False
    """List the expression units and exit."""
    yaw: float = 0.0
    """Rotate the head to the right, in degrees."""
    pitch: float = 0.0
    """Rotate the head upwards, in degrees."""
    roll: float = 0.0
    """Tilt the head clockwise, in degrees."""
    move: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Move the head to the right, up, and nearer, in millimeters."""
    neutral: Flag = False
    """Remove the face's own expression before --expression is added."""
    expression: tuple[str, ...] = ()
    """Expression units to add, for example jawOpen=0.5 smile=1 (see --units)."""
    expression_from: Other = None
    """Face to copy the expression from."""
    expression_neutral: Other = None
    """The person of --expression-from at rest; only the difference between the two is added."""
    light_from: Other = None
    """Face to copy the light from."""
    light_direction: tuple[float, float, float] | None = None
    """Direction to a lamp: right, up, and towards the viewer."""
    ambient: float = 0.5
    """Strength of the ambient light added to that lamp, whose strength is 1."""
    environment: Annotated[Path | None, arg(metavar="MAP")] = None
    """Environment map to light the face by: equirectangular (PNG, JPEG, .hdr), with its center behind the face."""
    environment_turn: float = 0.0
    """Rotate the environment map to the right, in degrees."""
    exposure: float = 1.0
    """Brightness of the face under the lamp or the environment map, relative to the photograph."""
    reflectance_from: Other = None
    """Face to copy the skin from."""
    reflectance_share: float = 1.0
    """Share of --reflectance-from to blend in, 0 to 1."""
    lighten: float = 0.0
    """Make the skin lighter by this amount in display RGB; negative values make it darker."""
    keep_detail: bool = True
    """Keep the detail of the photograph; otherwise render the smooth face of the face model."""
    checkpoint: Annotated[Path, arg(metavar="RUN")] = SHIPPED
    """Training run whose encoder is used; by default the encoder that ships with the package."""

    def __post_init__(self) -> None:
        check_numbers_of(self)

    def __call__(self) -> str:
        if self.units:
            return self._listing()
        if self.input is None or self.out is None:
            raise InputError("give a photograph and --out FOLDER, or --units to list the expression units")
        check_together(self, lambda name: f"--{name.replace('_', '-')}")
        self._check_out()
        return self._write(self._open())

    def _check_out(self) -> None:
        from mofa3d.files.record import check_free

        about = check_free(self.out).about
        if about and EDITED not in about:
            raise InputError(f"{self.out} contains a reconstruction, which an edit would replace; choose another --out")
        if about and not self.force:
            raise InputError(f"{self.out} already contains an edit; choose another --out, or --force to replace it")

    def _listing(self) -> str:
        from mofa3d.encoders.checkpoint import open_model
        from mofa3d.models.expression_units import COMBINATIONS, expression_units

        lines = []
        for name in expression_units(open_model(self.checkpoint)):
            parts = " + ".join(f"{strength:g} {unit}" for unit, strength in COMBINATIONS.get(name, {}).items())
            lines.append(f"{name} = {parts}" if parts else name)
        return "\n".join(lines)

    def _changes(self) -> Changes:
        from mofa3d.editing.edit import Changes
        from mofa3d.models.expression_units import parse_strengths

        options = {field.name: getattr(self, field.name) for field in fields(Changes)}
        options |= {name: self._code_of(path) for name in OTHERS if (path := options[name]) is not None}
        options["expression"] = parse_strengths(self.expression, self._units) if self.expression else {}
        return Changes(**options)

    def _open(self) -> Reopened:
        """The photograph and the face in it."""
        from mofa3d.data.photo import read_photo
        from mofa3d.reconstruction.reopen import Reopened, reopen

        if self.input.is_dir():
            return reopen(self.input, self._reconstructor.decode)
        photo = read_photo(self.input)
        face = self._most_prominent(photo, self.input)
        return Reopened(photo, face, f"the face {face.warning}; the result may be poor" if face.warning else "")

    def _code_of(self, path: Path) -> SemanticCode:
        """The code of another face."""
        from mofa3d.data.photo import read_photo
        from mofa3d.export import read_code
        from mofa3d.reconstruction.reopen import CODE

        if path.is_dir() or path.suffix.lower() == ".json":
            return read_code(path / CODE if path.is_dir() else path, self._reconstructor.decode.model.sizes)[0]
        return self._most_prominent(read_photo(path), path).code

    def _most_prominent(self, photo: Photo, path: Path) -> Reconstruction:
        reconstruct = self._reconstructor  # opened here: what is wrong with a checkpoint is not the photograph's fault
        try:
            return reconstruct(photo)[0]
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    def _write(self, opened: Reopened) -> str:
        from mofa3d.editing.edit import change, draw
        from mofa3d.export import write_code, write_mesh
        from mofa3d.files.folders import make_folder
        from mofa3d.files.record import place, remove_unfinished, unfinished
        from mofa3d.files.whole_pictures import write_picture
        from mofa3d.reconstruction.reopen import CODE
        from mofa3d.renderers import make_renderer

        photo, found, note = opened
        decode, changes = self._reconstructor.decode, self._changes()
        units = self._units if changes.expression else None
        code = change(found.code, changes, decode, units, found.transform.roll)
        sharp = make_renderer("cpu", antialias=False) if self.keep_detail else None
        picture, edited = draw(photo, found, code, decode, make_renderer("cpu"), sharp)
        out = self.out.absolute()
        beside = out if out.is_dir() else out.parent  # on the same disk
        make_folder(beside)
        remove_unfinished(beside)
        with unfinished(beside, out.name) as results:
            write_picture(results / PICTURE, picture)
            # The picture is the photograph that this code belongs to: the folder can be edited again.
            where = {"photo": str(out / PICTURE), "from_here": PICTURE, EDITED: str(self.input.absolute())}
            write_code(results / CODE, code, {**where, "crop": asdict(found.transform)})
            write_mesh(results / "mesh.glb", decode.model, edited.scene.vertices[0], edited.scene.reflectance[0])
            place(results, out, {EDITED: where[EDITED]})
        return f"{self.input} -> {self.out}" + (f"\nnote: {note}" if note else "")

    @cached_property
    def _reconstructor(self) -> Reconstructor:
        from mofa3d.reconstruction.reconstructor import Reconstructor

        return Reconstructor.open(self.checkpoint)

    @cached_property
    def _units(self) -> Units:
        from mofa3d.models.expression_units import expression_units

        return expression_units(self._reconstructor.decode.model)
