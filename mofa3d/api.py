"""Three lines from a photograph to a face.

import mofa3d

face = mofa3d.reconstruct("photo.jpg")
face.save("face.glb")
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import get_args

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from mofa3d.data.photo import MAX_PIXELS, Photo, read_photo, to_photo
from mofa3d.encoders.runtime import Runtime
from mofa3d.encoders.weights import SHIPPED, checkpoint_file
from mofa3d.environment.torch_settings import plain_settings
from mofa3d.errors import InputError
from mofa3d.export.face_textures import FaceTextures
from mofa3d.morphable_model import MorphableModel
from mofa3d.reconstruction import reconstructor as inference
from mofa3d.reconstruction.options import Format, Look, OutputOptions, Unit
from mofa3d.reconstruction.reconstructor import Reconstruction, Reconstructor, lay_over
from mofa3d.reconstruction.writer import ReconstructionWriter
from mofa3d.renderers import make_renderer
from mofa3d.renderers.cpu_rasterizer import rasterize
from mofa3d.scene import Renderer, Rendering, Scene, render_alike
from mofa3d.semantic_code import SemanticCode

SUFFIXES = (*(f".{kind}" for kind in get_args(Format)), ".json", ".png")
OPENED = 2  # encoders that are kept


@dataclass(frozen=True)
class Face:
    """A reconstructed face.

    Attributes:
        name: of the photograph.
        photo: it, upright.
        reconstruction: code, scene, and where the face is.
        writer: writes it.
    """

    name: str
    photo: Photo
    reconstruction: Reconstruction
    writer: ReconstructionWriter

    @property
    def code(self) -> SemanticCode:
        """Shape, expression, reflectance, pose and light: a batch of one."""
        return self.reconstruction.code

    @property
    def warning(self) -> str:
        """Why the result may be poor, in words that complete "the face ...", or ""."""
        return self.reconstruction.warning

    @property
    def vertices(self) -> Float[Tensor, "N 3"]:
        """Vertices in model space: mm, +X to the subject's left, +Y up, +Z out of the face."""
        return self.reconstruction.scene.vertices[0]

    @property
    def landmarks(self) -> Float[Tensor, "68 2"]:
        """The 68 iBUG points in pixels of the upright photograph; the center of the top-left pixel is (0.5, 0.5)."""
        return self.reconstruction.transform.to_photo(self.reconstruction.scene.landmarks[0])

    @plain_settings()
    def overlay(self, whole: bool = False) -> UInt8[np.ndarray, "H W 3"]:
        """The overlay: the reconstructed face drawn over the photograph.

        Args:
            whole: draw all of the head, also where the photograph shows hair, hats, hands or clothes.
        """
        return lay_over(self.photo, self.reconstruction, self.writer.render, whole=whole)

    @plain_settings()
    def save(
        self,
        path: str | Path,
        *,
        texture: Look = "photograph",
        texture_size: int = 1024,
        morph_targets: int = 0,
        blendshapes: Sequence[str] = (),
        neutral: bool = False,
        units: Unit = "mm",
    ) -> Path:
        """Write the face to a file; the suffix selects what is written.

        Args:
            path: ends in ``.glb`` (meters), ``.obj`` (with ``NAME.mtl`` and ``NAME_texture.png`` beside it) or ``.ply``
                for the mesh, ``.json`` for the code, or ``.png`` for the overlay. Missing folders are created; an
                existing file is replaced.
            texture, texture_size, morph_targets, blendshapes, neutral, units: options for meshes; see `OutputOptions`.

        Raises:
            InputError: the suffix is unknown, an option does not fit the face model, or a material or texture of
                another mesh would be replaced.

        Returns:
            The path.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix not in SUFFIXES:
            raise InputError(f"cannot write {path}: the suffix must be one of {', '.join(SUFFIXES)}")
        options = OutputOptions(
            texture=texture,
            texture_size=texture_size,
            morph_targets=morph_targets,
            blendshapes=tuple(blendshapes),
            neutral=neutral,
            units=units,
        )
        writer = replace(self.writer, options=options)
        _check_side_files(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".json":
            writer.write_code(path, self.name, self.reconstruction)
        elif suffix == ".png":
            from mofa3d.files.whole_pictures import write_picture

            write_picture(path, self.overlay())
        elif suffix == ".obj":  # its material and its texture come with it, or none of them
            from mofa3d.files.record import unfinished

            with unfinished(path.parent, path.stem) as folder:
                writer.write_meshes([folder / path.name], self.photo, self.reconstruction)
                for written in folder.iterdir():
                    os.replace(written, path.with_name(written.name))
        else:
            writer.write_meshes([path], self.photo, self.reconstruction)
        return path


def reconstruct(
    photo: str | os.PathLike | Image.Image | np.ndarray,
    *,
    checkpoint: str | Path | None = None,
    refine: bool = False,
    fit_colors: bool = True,
    every_face: bool = False,
) -> Face | list[Face]:
    """Reconstruct the most prominent face of a photograph, or every face.

    The first call loads the encoder, which later calls reuse. It may be called from several threads. A forked process
    runs on a single thread; a spawned one uses all.

    Args:
        photo: a file, a Pillow image, or an RGB array (H, W, 3) of type uint8.
        checkpoint: folder or checkpoint of a training run, or an encoder's .safetensors file; ``None`` means the
            encoder that ships with the package.
        refine: fit each face to the points that are detected in the photograph, and its colors to the photograph.
        fit_colors: fit reflectance and illumination of the prediction to the photograph; `refine` always does.
        every_face: return a list of all faces, the most prominent first.

    Raises:
        InputError: the photograph has an unsupported type, cannot be read or shows no face, or the checkpoint does not
            exist.
    """
    pixels, name = _read(photo)
    reconstructor, writer = _opened(checkpoint, refine, fit_colors)
    try:
        found = reconstructor(pixels, every_face)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    faces = [Face(name, pixels, one, writer) for one in found]
    return faces if every_face else faces[0]


@plain_settings()
def reconstruct_person(
    photos: Sequence[str | os.PathLike | Image.Image | np.ndarray], *, checkpoint: str | Path | None = None
) -> list[Face]:
    """Reconstruct one person from several photographs, the most prominent face of each.

    All faces have one shape and one reflectance, fitted to what all photographs show, and a pose, an expression and a
    light each. `Face.save` writes one texture of them all. A `Face.warning` tells of a photograph that seems to show
    somebody else.

    Args:
        photos, checkpoint: see `reconstruct`; the face model must be the default one.

    Raises:
        InputError: as `reconstruct` does, of any photograph; or there is none, or the face model is another one.

    Returns:
        A face for each photograph, in their order.
    """
    from mofa3d.export.photo_texture import View
    from mofa3d.reconstruction.same_person import SamePerson, with_one_texture

    if isinstance(photos, str | os.PathLike | Image.Image) or (isinstance(photos, np.ndarray) and photos.ndim < 4):
        raise InputError("give a list of photographs of the person; for a single one there is `reconstruct`")
    read = [_read(photo) for photo in photos]
    reconstructor, writer = _opened(checkpoint, False, True)
    person, crops = SamePerson(reconstructor), []
    for pixels, name in read:
        try:
            crops.append(person.find(pixels))
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
    found = person(crops)
    views = [View(face.scene, pixels, face.transform) for (pixels, _), face in zip(read, found, strict=True)]
    textured = with_one_texture(writer, views)
    return [Face(name, pixels, face, textured) for (pixels, name), face in zip(read, found, strict=True)]


def _opened(checkpoint: object, refine: bool, fit_colors: bool) -> tuple[Reconstructor, ReconstructionWriter]:
    if checkpoint is not None and not isinstance(checkpoint, str | os.PathLike):
        raise InputError(f"checkpoint must be a path or None, got a {type(checkpoint).__name__}")
    if not str(checkpoint if checkpoint is not None else SHIPPED).strip():
        raise InputError("checkpoint is empty, which would mean the current folder; give a path, or None")
    run = checkpoint_file(SHIPPED if checkpoint is None else Path(checkpoint)).absolute()
    stamp = run.stat().st_mtime_ns if run.exists() else 0
    with _opening(os.getpid()):  # threads that begin at once open one encoder
        return _open(run, stamp, refine, fit_colors)


def _check_side_files(path: Path) -> None:
    """Refuse to replace a material or a texture of another mesh."""
    if path.suffix.lower() not in (".obj", ".png"):
        return
    from mofa3d.export.obj import check_side_files, is_texture

    if path.suffix.lower() == ".obj":
        check_side_files(path)
    elif is_texture(path):
        raise InputError(f"{path} is the texture of an OBJ file there; choose another name")


def _read(photo: str | os.PathLike | Image.Image | np.ndarray) -> tuple[Photo, str]:
    if isinstance(photo, Image.Image):
        name = getattr(photo, "filename", "") or "the image"
        return to_photo(photo, name), name
    if isinstance(photo, np.ndarray):
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape:
            raise InputError(
                f"expected an RGB array of type uint8 and shape (H, W, 3), got {photo.dtype} {photo.shape}; convert it"
            )
        if photo.shape[0] * photo.shape[1] > MAX_PIXELS:
            raise InputError(f"the array {photo.shape} has more than {MAX_PIXELS} pixels; make it smaller")
        return np.ascontiguousarray(photo), "the array"
    if not isinstance(photo, str | os.PathLike) or not isinstance(os.fspath(photo), str):
        raise InputError(
            f"a photograph must be a path, a Pillow image, or a uint8 array (H, W, 3); got a {type(photo).__name__}"
        )
    return read_photo(Path(photo)), os.fspath(photo)


@cache
def _opening(process: int) -> threading.Lock:
    """A lock of this very process: one that a thread held when it was forked would never be released."""
    return threading.Lock()


@lru_cache(maxsize=OPENED)
@plain_settings()
def _open(run: Path, stamp: int, refine: bool, fit_colors: bool) -> tuple[Reconstructor, ReconstructionWriter]:
    """What reconstructs and what writes; `stamp` changes with the file."""
    return open_tools(run, refine=refine, fit_colors=fit_colors)


def open_tools(
    run: Path = SHIPPED,
    *,
    refine: bool = False,
    fit_colors: bool = True,
    runtime: Runtime = "auto",
    output: OutputOptions | None = None,
) -> tuple[Reconstructor, ReconstructionWriter]:
    """What reconstructs the faces of photographs, and what writes them.

    Args:
        run: see `mofa3d.encoders.checkpoint.open_run`, also for errors.
        refine, fit_colors: see `reconstruct`.
        runtime: see `mofa3d.encoders.runtime.choose_runtime`.
        output: see `make_writer`.
    """
    improve = inference.fit_colors if fit_colors else None
    if refine:
        from mofa3d.reconstruction.refine import Refiner

        improve = Refiner
    reconstructor = Reconstructor.open(run, runtime=runtime, refine=improve)
    return reconstructor, make_writer(reconstructor.decode.model, output)


def make_writer(model: MorphableModel, output: OutputOptions | None = None) -> ReconstructionWriter:
    """What writes the faces of a model, with pictures that our own rasterizer draws.

    Raises:
        InputError: options that do not go with the model.
    """
    return ReconstructionWriter(FaceTextures(model, rasterize), Drawing(), output or OutputOptions())


class Drawing:
    """Our own rasterizer, as a renderer; what only meshes do without is loaded at the first rendering."""

    def __call__(self, scene: Scene) -> Rendering:
        return _renderer()(scene)

    def alike(self, scenes: Sequence[Scene]) -> list[Rendering]:
        """See `mofa3d.scene.render_alike`."""
        return render_alike(_renderer(), scenes)


@cache
def _renderer() -> Renderer:
    return make_renderer("cpu")
