"""``mofa3d model ...``: look at a face model, draw it, convert it, and find its landmarks.

Every command imports what it needs when it runs, so that the command line answers at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes, Positional, arg, subcommand

from mofa3d.cli.program import Flag
from mofa3d.errors import InputError
from mofa3d.pictures.preview_config import PreviewConfig

if TYPE_CHECKING:
    from mofa3d.models.sanity import Sanity
    from mofa3d.morphable_model import MorphableModel


SUFFIX = ".safetensors"

Source = Annotated[Positional[str], arg(metavar="NAME_OR_PATH")]
SourceFile = Annotated[Path | None, arg(metavar="FILE")]


@dataclass(frozen=True)
class Info:
    """Describe a face model, and check whether the size and variety of its faces are human."""

    model: Source
    """Name of a face model, or a .safetensors file."""
    path: SourceFile = None
    """File or folder to read a named model from."""

    def __call__(self) -> str:
        from mofa3d.models.sanity import check

        model = open_model(self.model, self.path)
        return describe(model, check(model))


@dataclass(frozen=True)
class Preview:
    """Draw a face model: its mean with landmarks, its strongest modes, and random faces."""

    model: Source
    """Name of a face model, or a .safetensors file."""
    out: Annotated[Path, arg(metavar="PNG")]
    """PNG file to write."""
    path: SourceFile = None
    """File or folder to read a named model from."""
    samples_only: Flag = False
    """Draw only random faces in random poses and light: lit, as clay, and their reflectance."""
    force: Flag = False
    """Replace an existing file."""
    config: Annotated[PreviewConfig, arg(name="")] = field(default_factory=PreviewConfig)

    def __call__(self) -> str:
        from mofa3d.files.folders import refuse_existing
        from mofa3d.files.whole_pictures import write_picture
        from mofa3d.pictures.contact_sheet import draw_sheet
        from mofa3d.pictures.model_preview import model_rows, sample_rows
        from mofa3d.renderers import make_renderer

        if self.out.suffix.lower() != ".png":
            raise InputError(f"--out {self.out}: the preview is a PNG picture; give a name that ends with .png")
        refuse_existing(self.out, self.force)
        model = open_model(self.model, self.path)
        rows = (sample_rows if self.samples_only else model_rows)(model, make_renderer("cpu"), self.config)
        self.out.parent.mkdir(parents=True, exist_ok=True)
        write_picture(self.out, draw_sheet(rows))
        return str(self.out)


@dataclass(frozen=True)
class _Written:
    """What the commands that write a face model ask for."""

    model: Source
    """Name of a face model, or a .safetensors file."""
    out: Annotated[Path, arg(metavar="FILE")]
    """The .safetensors file to write."""
    path: SourceFile = None
    """File or folder to read a named model from."""
    force: Flag = False
    """Replace an existing file."""


@dataclass(frozen=True)
class Convert(_Written):
    """Convert a face model to a .safetensors file, which loads fast and executes no code."""

    def __call__(self) -> str:
        return _write(self.out, self.force, lambda: open_model(self.model, self.path))


@dataclass(frozen=True)
class Landmarks(_Written):
    """Detect the 68 landmarks of a face model on renderings of its mean face, and write the model with them."""

    def __call__(self) -> str:
        from mofa3d.pictures.model_landmarks import with_fitted_landmarks
        from mofa3d.renderers import make_renderer

        def fit() -> MorphableModel:
            return with_fitted_landmarks(open_model(self.model, self.path), make_renderer("cpu"))

        return _write(self.out, self.force, fit)


Action = (
    Annotated[Info, subcommand("info")]
    | Annotated[Preview, subcommand("preview")]
    | Annotated[Convert, subcommand("convert")]
    | Annotated[Landmarks, subcommand("landmarks")]
)


@dataclass(frozen=True)
class ModelCommand:
    """Describe a face model, draw it, convert it, or find its landmarks."""

    action: OmitSubcommandPrefixes[OmitArgPrefixes[Action]]

    def __call__(self) -> str:
        return self.action()


def open_model(name_or_path: str, path: Path | None = None) -> MorphableModel:
    """A face model by its name, or from a file that mofa3d wrote.

    Args:
        name_or_path: a name that `mofa3d.models.load_model` knows, or a ``.safetensors`` file.
        path: what a named source reads.

    Raises:
        InputError: there is no such model or file, or it cannot be read.
    """
    from mofa3d.models import MODEL_NAMES, load_model
    from mofa3d.morphable_model import read_model

    if name_or_path in MODEL_NAMES:
        if path is not None and path.suffix == SUFFIX:
            _check_file(path)
        return load_model(name_or_path, path=path)
    file, names = Path(name_or_path), ", ".join(MODEL_NAMES)
    if file.suffix != SUFFIX:
        if file.exists():
            raise InputError(
                f"{file} is not a {SUFFIX} file; give the name of its face model (one of {names}) and the file "
                "as --path"
            )
        raise InputError(f"unknown face model {name_or_path!r}: give one of {names}, or a {SUFFIX} file")
    if path is not None:
        raise InputError(f"--path {path} only applies to a named model, not to the file {file}; leave one out")
    _check_file(file)
    return read_model(file)


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"there is no file {path}; check the path")


def _write(out: Path, force: bool, make: Callable[[], MorphableModel]) -> str:
    """Write a model unless that would destroy a file; known mistakes are reported before the model is made."""
    from mofa3d.files.folders import refuse_existing
    from mofa3d.morphable_model import save_model

    if out.suffix != SUFFIX:
        raise InputError(f"--out {out}: face models are written as {SUFFIX}; give a file name that ends with it")
    refuse_existing(out, force)
    model = make()
    save_model(model, out)
    return f"{out} ({out.stat().st_size / 1e6:.1f} MB, fingerprint {model.fingerprint()})"


def describe(model: MorphableModel, found: Sanity) -> str:
    """What `mofa3d model info` prints: one line per fact, then one per warning."""
    from mofa3d.models.sanity import EYE_DISTANCE

    low, high = EYE_DISTANCE
    lines = {
        "name": model.name or "(none)",
        "vertices": f"{len(model.mean_shape)}, {int(model.frontal.sum())} of them frontal",
        "triangles": str(len(model.faces)),
        "code sizes": f"shape {model.sizes.shape}, expression {model.sizes.expression}, "
        f"reflectance {model.sizes.reflectance}",
        "texture": "no coordinates" if model.uv is None else "coordinates for every vertex",
        "units": "millimetres; display RGB, 0 to 1",
        "face width": f"{found.face_width:.1f} mm from landmark 0 to 16",
        "eye distance": f"{found.eye_distance:.1f} mm; of {found.samples} random faces {found.eye_distance_mean:.1f} ± "
        f"{found.eye_distance_sd:.1f} mm, {found.eye_distance_inside:.0%} within {low:g} to {high:g}",
        "deviation": f"{found.deviation:.2f} mm rms of frontal vertices of random faces",
    }
    for name, action in found.actions.items():
        column = "no column" if action.column is None else f"column {action.column} at {2 * action.sign:+d} sigma"
        lines[name] = f"{column}, {action.amount:.1f} mm"
    lines["reflectance"] = f"{found.outside:.1%} of the random faces' colors outside 0 to 1"
    lines["fingerprint"] = model.fingerprint()
    width = max(map(len, lines))
    text = [f"{name:{width}}  {value}" for name, value in lines.items()]
    return "\n".join([*text, *(f"warning: {complaint}" for complaint in found.complaints())])
